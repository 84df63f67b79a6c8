"""The input of type `poll`: reads APIs page by page, and compares what has no history of its own."""
