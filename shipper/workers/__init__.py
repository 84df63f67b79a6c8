"""Parsing processes (`agent.workers` > 1): how chunks reach them, and how their results come back in order."""
