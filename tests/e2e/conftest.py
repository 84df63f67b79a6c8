"""The folder in which a test's agents live."""

import pytest

from tests.e2e.agent_process import Place
from tests.e2e.torture import Trial


@pytest.fixture
def place(tmp_path):
    """A `Place`; its agents are killed when the test is over."""
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def trial(place):
    """`trial(*patterns, **options)`: a `Trial` in the test's place."""
    return lambda *patterns, **options: Trial(place, *patterns, **options)
