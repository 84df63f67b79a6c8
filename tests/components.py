"""What a test does whose component is not installed, or that needs more of the system than it has."""

import contextlib
import os
import resource

import pytest


def absent(reason):
    """Skip the test, or fail it where every component was promised to be there (`.ci/run`). `reason`: with a hint."""
    if os.environ.get("FIELDTRAIL_REQUIRE_COMPONENTS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def open_files(count):
    """Let this process, and those it starts meanwhile, have `count` files open; `absent` where that is not allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # "Without a limit" is -1.
    if hard != resource.RLIM_INFINITY and hard < count:
        absent(f"{count} open files are not allowed (hint: ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
