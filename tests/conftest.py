"""What all tests share: the option that rewrites the golden files."""

import os

import pytest


def pytest_addoption(parser):
    parser.addoption(
        "--golden-update",
        action="store_true",
        help="write what the code makes of tests/golden/*/*.log over the expected events beside them",
    )


def pytest_configure(config):
    if config.getoption("--golden-update") and os.environ.get("CI"):
        raise pytest.UsageError("--golden-update: never where nobody reads what it wrote (CI is set)")


@pytest.fixture
def golden_update(request):
    """Whether the expected events are to be written instead of compared."""
    return request.config.getoption("--golden-update")
