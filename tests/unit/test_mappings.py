"""The data files: complete, consistent with one another, and loaded as frozen values."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import mappings

ROOT = Path(__file__).resolve().parents[2]
STREAMS = {"change", "activity", "alert", "health", "log", "checkpoint"}


def test_the_ecs_table_has_all_names_of_the_release():
    fields = mappings.ecs_fields()
    assert len(fields) == 2605
    assert {field.type for field in fields.values()} >= {"keyword", "long", "date", "ip", "boolean", "geo_point"}


@pytest.mark.parametrize(
    ("name", "type_", "array", "level"),
    [
        ("@timestamp", "date", False, "core"),
        ("event.category", "keyword", True, "core"),
        ("event.duration", "long", False, "core"),
        ("related.ip", "ip", True, "extended"),
        ("source.ip", "ip", False, "core"),
        ("user.roles", "keyword", True, "extended"),
        ("message", "match_only_text", False, "core"),
    ],
)
def test_ecs_facts_survive_the_compact_file(name, type_, array, level):
    field = mappings.ecs_fields()[name]
    assert (field.type, field.array, field.level) == (type_, array, level)


def test_rare_facts_survive_the_compact_file():
    fields = mappings.ecs_fields()
    assert fields["event.original"].index is False
    assert fields["host.cpu.usage"].scaling_factor == 1000
    assert fields["process.name"].text is True and fields["process.pid"].text is False
    assert fields["agent.name"].ignore_above == 1024 and fields["source.ip"].ignore_above is None


def test_the_event_vocabularies_are_those_of_ecs():
    assert mappings.ecs_fields()["event.kind"].allowed == (
        "alert", "asset", "enrichment", "event", "metric", "state", "pipeline_error", "signal",
    )  # fmt: skip
    assert mappings.expected_types()["database"] == {"access", "change", "info", "error"}
    assert set(mappings.expected_types()) == set(mappings.ecs_fields()["event.category"].allowed)


def test_values_are_frozen_and_loaded_once():
    assert mappings.ecs_fields() is mappings.ecs_fields()
    with pytest.raises(TypeError):
        mappings.ecs_fields()["x"] = None  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        mappings.actions()["field.update"].stream = "x"  # type: ignore[misc]


def test_our_fields_live_under_trail_and_seal_and_hide_no_ecs_field():
    own = mappings.trail_fields()
    assert all(name.startswith(("trail.", "seal.")) for name in own)
    assert not set(own) & set(mappings.ecs_fields())
    assert all(field.about for field in own.values())


def test_no_field_of_ours_is_both_a_value_and_a_group():
    names = set(mappings.trail_fields())
    assert not [name for name in names if any(other.startswith(name + ".") for other in names)]


def test_our_fields_cover_the_contract():
    named = """schema operation.id operation.change_count operation.head object.type object.id object.name object.owner_id
    object.url object.key object.last_editor.id object.last_editor.name object.subject change.index change.field change.label
    change.op change.old change.new change.old_state change.new_state change.old_label change.new_label change.old_number
    change.new_number change.delta change.delta_pct change.value_type change.category change.sensitivity change.redaction
    change.derivation change.changed_after change.changed_before attribution.event_id attribution.operation_id
    attribution.field change.element time.after time.before time.precision actor.type actor.confidence actor.basis
    actor.person interface session.id automation.platform automation.scenario.id automation.scenario.name
    automation.execution.id automation.module automation.last_editor export.rows export.bytes export.format export.objects
    approval.ticket approval.approver_id alert.id alert.group alert.window_start alert.window_end alert.evidence_ids
    alert.evidence_count alert.why alert.controls origin.input origin.path origin.offset origin.length origin.received
    origin.delivery origin.directory actor.department actor.status actor.kind actor.timezone sealed_fields
    values raw missing control log truncated checkpoint.size checkpoint.prev_size checkpoint.root checkpoint.note checkpoint.leaves checkpoint.frontier checkpoint.origin checkpoint.log
    health.component health.id health.read health.events health.unparsed health.lag_bytes health.idle_seconds
    health.delivered health.rejected health.pending health.dead_letters health.lag_seconds health.journal_bytes
    health.memory_bytes health.age_seconds health.dropped health.refused verify.source verify.sealed verify.found
    verify.modified verify.missing verify.inserted verify.findings verify.since verify.until verify.summary"""
    assert {"trail." + name for name in named.split()} | {"seal.i", "seal.log", "seal.n"} == set(
        mappings.trail_fields()
    )


def test_the_words_of_yaml_stay_words():
    # YAML 1.1 reads a bare `on`, `no`, `null` as something else.
    for field in mappings.trail_fields().values():
        assert all(isinstance(value, str) for value in field.allowed), field.name
    for action in mappings.actions().values():
        assert isinstance(action.link, str) and isinstance(action.words, str), action.name
    assert "null" in mappings.trail_fields()["trail.change.old_state"].allowed
    assert mappings.actions()["session.start"].link == "on"


def test_every_action_of_the_contract_is_there():
    contract = """field.update record.create record.delete record.merge record.view data.export data.import auth.login
    auth.logout auth.mfa role.grant role.revoke user.create user.update user.delete user.disable token.create token.revoke
    app.connect app.disconnect config.update audit.disable automation.run automation.edit message.send"""
    assert set(contract.split()) <= set(mappings.actions())


@pytest.mark.parametrize("action", mappings.actions().values(), ids=lambda action: action.name)
def test_an_action_is_well_formed(action):
    known = {**mappings.ecs_fields(), **mappings.trail_fields()}
    assert action.stream in STREAMS
    assert action.words
    assert action.outcome in {None, "success", "failure", "unknown"}
    assert all(name in known for name in action.expects)
    expected = [mappings.expected_types()[name] for name in action.category]
    assert all(any(kind in group for group in expected) for kind in action.type)
    assert all(group & set(action.type) for group in expected)
    if action.stream == "change":
        assert set(action.type) & {"change", "creation", "deletion", "admin"}
    if action.stream == "activity":
        assert not set(action.type) & {"change", "creation", "deletion", "admin"}


@pytest.mark.parametrize(
    ("action", "category", "type_"),
    [
        ("field.update", ("database",), ("change",)),
        ("user.update", ("iam",), ("change", "user")),
        ("role.grant", ("iam",), ("admin", "user")),
        ("auth.login", ("authentication",), ("start",)),
        ("auth.logout", ("authentication",), ("end",)),
        ("config.update", ("configuration",), ("change",)),
        ("automation.edit", ("configuration",), ("change",)),
        ("data.export", ("database",), ("access",)),
        ("automation.run", ("process",), ("end",)),
        ("rule.match", ("intrusion_detection",), ("info",)),
    ],
)
def test_actions_have_the_ecs_shape_of_the_contract(action, category, type_):
    found = mappings.actions()[action]
    assert (found.category, found.type) == (category, type_)


def test_only_the_source_can_say_whether_a_login_worked():
    assert mappings.actions()["auth.login"].outcome is None
    assert mappings.actions()["automation.run"].outcome is None
    assert mappings.actions()["field.update"].outcome == "success"


def test_every_privacy_rule_names_a_known_category_and_no_pattern_twice():
    facts = mappings.privacy_rules()
    levels = {"public", "internal", "confidential", "restricted"}
    assert set(facts.categories.values()) <= levels and facts.default_sensitivity in levels
    patterns = [pattern for rule in facts.rules for pattern in rule.patterns]
    assert len(patterns) == len(set(patterns))
    assert all(isinstance(pattern, str) and pattern.strip("^$") for pattern in patterns)
    used = {rule.category for rule in facts.rules} | {r.category for rules in facts.modules.values() for r in rules}
    assert used - {None} == set(facts.categories)


def test_the_parts_of_the_templates_name_ecs_fields_only_once():
    parts = mappings.component_templates()
    assert set(parts.streams) == STREAMS
    assert len(parts.ecs) == len(set(parts.ecs))
    assert set(parts.ecs) <= set(mappings.ecs_fields())


def test_the_reference_names_every_field_and_every_action():
    text = (ROOT / "docs/reference/event.md").read_text(encoding="utf-8")
    for name in (*mappings.trail_fields(), *mappings.actions()):
        assert f"| `{name}` |" in text, name


def test_the_page_on_privacy_has_every_category_with_its_sensitivity():
    text = (ROOT / "docs/explanation/privacy.md").read_text(encoding="utf-8")
    for name, sensitivity in mappings.privacy_rules().categories.items():
        assert f"| `{name}` | {sensitivity} |" in text, name
