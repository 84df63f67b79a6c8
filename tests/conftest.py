"""What all tests share: the option that rewrites the golden files, and the equations that hold after every test."""

import functools
import os

import pytest

from shipper.delivery import Delivery
from shipper.model import Counts


def pytest_addoption(parser):
    parser.addoption(
        "--golden-update",
        action="store_true",
        help="write what the code makes of tests/golden/*/*.log over the expected events beside them",
    )


def pytest_configure(config):
    if config.getoption("--golden-update") and os.environ.get("CI"):
        raise pytest.UsageError("--golden-update: never where nobody reads what it wrote (CI is set)")


_LONGEST = ("soak/test_soak.py", "crash/test_every_syscall.py")
"""Files that take so long that everything else is done meanwhile; begun last, they would be waited for alone."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.path.as_posix().endswith(_LONGEST))


@pytest.fixture
def golden_update(request):
    """Whether the expected events are to be written instead of compared."""
    return request.config.getoption("--golden-update")


_ACCOUNTS = []
"""What keeps account of records or documents and was made since the test began."""


def _noted(cls):
    """Have every object of a class put down in `_ACCOUNTS` when it is made."""
    begin = cls.__init__

    @functools.wraps(begin)
    def noted(self, *args, **kwargs):
        begin(self, *args, **kwargs)
        _ACCOUNTS.append(self)

    cls.__init__ = noted


_noted(Counts)
_noted(Delivery)


@pytest.fixture(autouse=True)
def _conservation():
    """Nothing disappears: whatever a test did, its inputs' and outputs' accounts balance afterwards.

    Agents that are processes of their own are held to the same by `agent_process`: at rest, and when they end.
    """
    _ACCOUNTS.clear()
    yield
    made, _ACCOUNTS[:] = list(_ACCOUNTS), []
    for one in made:
        if isinstance(one, Counts):
            parts = (one.with_events, one.rejected, one.no_change, one.filtered, one.deduplicated)
            assert one.read == sum(parts), f"an input's account does not balance: {one}"
        elif one.account.base is not None:
            told = one.account
            parts = (told.delivered, told.dead_lettered, told.filtered, told.dropped, told.left)
            assert told.upto - told.base == sum(parts), f"an output's account does not balance: {told}"
