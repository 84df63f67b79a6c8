"""What a test does whose component is not installed."""

import os

import pytest


def absent(reason):
    """Skip the test, or fail it where every component was promised to be there (`.ci/run`). `reason`: with a hint."""
    if os.environ.get("FIELDTRAIL_REQUIRE_COMPONENTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
