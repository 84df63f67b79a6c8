"""Measuring Fieldtrail: `make bench` runs `run.py`. Not part of the distribution."""
