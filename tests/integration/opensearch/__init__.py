"""A real OpenSearch node for tests, built from published jars; see README.md."""
