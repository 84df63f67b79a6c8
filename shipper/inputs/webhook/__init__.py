"""The webhook listener: endpoints over HTTP, whose requests are verified, kept, and only then acknowledged."""
