"""The folder in which a test's agents live."""

import pytest

from tests.e2e.agent_process import Place


@pytest.fixture
def place(tmp_path):
    """A `Place`; its agents are killed when the test is over."""
    made = Place(tmp_path)
    yield made
    made.close()
