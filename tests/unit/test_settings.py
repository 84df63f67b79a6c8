"""Durations and sizes have an end."""

import pytest

from shipper.config import parse
from shipper.errors import ConfigError


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan", "1e400", "9" * 400 + "d"])
def test_a_duration_without_end_is_refused_with_its_place(value):
    with pytest.raises(ConfigError) as caught:
        parse(f"agent: {{shutdown_grace: {value}}}", "c.yaml")
    assert [path for path, _ in caught.value.problems] == ["agent.shutdown_grace"]


@pytest.mark.parametrize("value", [".inf", "9" * 400 + "GB", "9" * 308 + "GB"])
def test_a_size_without_end_is_refused_with_its_place(value):
    with pytest.raises(ConfigError) as caught:
        parse(f"journal: {{max_size: {value}}}", "c.yaml")
    assert [path for path, _ in caught.value.problems] == ["journal.max_size"]
