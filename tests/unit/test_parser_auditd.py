"""The Linux audit log: who logged in did what, with hex decoded and secrets dropped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsers import auditd
from parsers._auditd import socket_address
from parsers._contract import Change, Context, Rejected, Time
from tests.parser_checks import assert_sound

CTX = Context()
GS = "\x1d"


def line(kind, text, serial="1770110400.123:7"):
    return f"type={kind} msg=audit({serial}): {text}"


def one(*lines):
    result = auditd.parse("\n".join(lines).encode(), CTX)
    assert isinstance(result, list), result
    assert_sound(result)
    (operation,) = result
    return operation


def call(number, more="", *, auid="1000", euid="0", success="yes"):
    text = (
        f"arch=c000003e syscall={number} success={success} exit=0 a0=1 ppid=8 pid=9 auid={auid} uid=1000 euid={euid} "
        f'ses=3 comm="prog" exe="/usr/bin/prog"{more}'
    )
    return line("SYSCALL", text)


def user(kind, text, *, auid="1000", ses="3", result="success"):
    return line(kind, f"pid=9 uid=0 auid={auid} ses={ses} msg='{text} terminal=ssh res={result}'")


def test_a_program_that_was_run_has_its_login_user_and_the_user_it_runs_as():
    op = one(
        call(59, f' key="exec"{GS}AUID="kim" EUID="root"'),
        line("EXECVE", 'argc=3 a0="useradd" a1="-m" a2=6A6F20712E'),
        line("CWD", 'cwd="/root"'),
        line("PROCTITLE", "proctitle=75736572616464002D6D006A6F20712E"),
    )
    assert (op.action, op.code, op.outcome, op.id) == ("process.start", "SYSCALL", "success", "1770110400.123:7")
    assert op.time == Time("1770110400.123", "epoch_s")
    assert op.fields == {
        "user.id": "1000",
        "user.name": "kim",
        "user.effective.id": "0",
        "user.effective.name": "root",
        "trail.session.id": "3",
        "process.pid": 9,
        "process.parent.pid": 8,
        "process.name": "prog",
        "process.executable": "/usr/bin/prog",
        "process.args": ["useradd", "-m", "jo q."],
        "process.command_line": "useradd -m jo q.",
        "process.working_directory": "/root",
    }
    assert (op.actor_type, op.actor_confidence) == ("user", "asserted")
    raw = {"arch": "c000003e", "syscall": "59", "exit": "0", "a0": "1", "uid": "1000", "key": "exec"}
    assert op.raw == {"syscall": raw}
    assert op.missing == ("source.ip",)


def test_a_process_without_a_login_user_is_the_system_and_has_no_user_id():
    op = one(call(59, auid="4294967295"), line("EXECVE", 'argc=1 a0="cron"'))
    assert "user.id" not in op.fields and op.fields["user.effective.id"] == "0"
    assert (op.actor_type, op.actor_confidence) == ("system", "inferred")
    assert "user.id" in op.missing


def test_nothing_is_inferred_from_a_record_that_does_not_speak_of_users():
    op = one(line("PATH", 'item=0 name="/etc/passwd" nametype=NORMAL'))
    assert (op.actor_type, op.actor_confidence) == ("unknown", "unknown")


def test_long_arguments_are_put_together_from_their_parts():
    op = one(line("EXECVE", 'argc=2 a0="psql" a1_len=8 a1[0]=73656C65 a1[1]=63742031'))
    assert op.fields["process.args"] == ["psql", "select 1"]
    assert op.raw == {}


def test_what_the_kernel_adds_to_a_program_s_start_is_not_what_it_is_about():
    op = one(call(59), line("BPRM_FCAPS", "fver=0 fp=0 old_pp=0 pp=0"), line("EXECVE", 'argc=1 a0="ls"'))
    assert (op.action, op.code) == ("process.start", "SYSCALL")
    assert op.raw["bprm_fcaps"] == {"fver": "0", "fp": "0", "old_pp": "0", "pp": "0"}


def test_a_program_that_could_not_be_started_is_named_beside_the_one_that_tried():
    op = one(call(59, success="no"), line("PATH", 'item=0 name="/opt/tool" nametype=UNKNOWN'))
    assert (op.action, op.outcome, op.object_id) == ("process.start", "failure", "/opt/tool")
    assert op.fields["process.executable"] == "/usr/bin/prog"


def test_enriching_that_found_no_name_gives_none():
    op = one(call(59, f'{GS}AUID="unknown(1000)" EUID="root"', auid="1000"), line("EXECVE", 'argc=1 a0="ls"'))
    assert "user.name" not in op.fields and op.fields["user.effective.name"] == "root"
    assert op.raw["syscall"]["AUID"] == "unknown(1000)"


def test_a_rule_that_was_refused_is_a_failure_though_the_call_that_asked_succeeded():
    op = one(line("CONFIG_CHANGE", 'auid=1000 ses=3 op=add_rule key="k" list=4 res=0'), call(44))
    assert (op.action, op.outcome, op.object_id) == ("config.create", "failure", "k")
    assert op.fields["user.id"] == "1000" and "auid" not in op.raw["config_change"]


def test_the_account_that_sudo_asks_for_a_password_is_not_the_one_that_one_becomes():
    op = one(user("USER_AUTH", 'op=PAM:authentication acct="kim" exe="/usr/bin/sudo"'))
    assert (op.action, op.fields["user.id"]) == ("auth.elevate", "1000")
    assert not {"user.name", "user.effective.name"} & op.fields.keys()
    assert op.raw["user_auth"]["acct"] == "kim"


def test_a_text_with_quotes_stays_one_and_loses_its_secrets():
    op = one(
        line("USER", "pid=9 uid=0 auid=1000 ses=3 msg='text=the 'old' disk exe=\"/usr/sbin/auditctl\" res=success'")
    )
    assert op.raw["user"]["text"] == "the 'old' disk"


@pytest.mark.parametrize(
    ("number", "kind", "action"),
    [
        (257, "CREATE", "file.create"),
        (263, "DELETE", "file.delete"),
        (257, "NORMAL", "file.access"),
        (90, "NORMAL", "file.update"),
        (260, "NORMAL", "file.update"),
    ],
)
def test_what_was_done_to_a_file_follows_from_the_call_and_its_path(number, kind, action):
    op = one(
        call(number),
        line("CWD", 'cwd="/srv"'),
        line("PATH", 'item=0 name="data/" nametype=PARENT'),
        line("PATH", f'item=1 name="data/a.csv" inode=7 ouid=33 nametype={kind}{GS}OUID="www"'),
    )
    assert op.action == action
    assert (op.object_type, op.object_id) == ("file", "/srv/data/a.csv")
    assert op.fields["file.path"] == "/srv/data/a.csv"
    assert (op.fields["file.owner"], op.fields["file.uid"], op.fields["file.inode"]) == ("www", "33", "7")
    assert op.fields["process.working_directory"] == "/srv"


def test_a_rename_has_the_old_and_the_new_path():
    op = one(
        call(82),
        line("CWD", 'cwd="/srv"'),
        line("PATH", 'item=0 name="a" nametype=DELETE'),
        line("PATH", 'item=1 name="/tmp/b" nametype=CREATE'),
    )
    assert op.action == "file.update"
    assert op.changes == [Change("path", "/srv/a", "/tmp/b")]


def test_an_address_is_where_it_went_or_where_it_came_from():
    saddr = line("SOCKADDR", "saddr=020001BBC63364070000000000000000")
    assert one(call(42), saddr).fields.items() >= {"destination.ip": "198.51.100.7", "destination.port": 443}.items()
    op = one(call(288), saddr)
    assert (op.action, op.fields["source.ip"]) == ("network.connect", "198.51.100.7")
    assert op.missing == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0A00C7380000000020010DB800000000000000000000000700000000", ("2001:db8::7", 51000)),
        ("0A0000160000000000000000000000000000FFFFC000020700000000", ("192.0.2.7", 22)),
        ("01002F6465762F6C6F6700", None),
        ("0200", None),
        ("xyz", None),
    ],
)
def test_socket_addresses_are_read(text, expected):
    assert socket_address(text) == expected


def test_a_login_names_whom_and_from_where():
    op = one(user("USER_LOGIN", 'op=login id=1000 exe="/usr/sbin/sshd" hostname=a.shop.example addr=203.0.113.9'))
    assert (op.action, op.outcome) == ("auth.login", "success")
    assert op.fields["user.id"] == "1000" and "user.effective.id" not in op.fields
    assert (op.fields["source.ip"], op.fields["source.domain"]) == ("203.0.113.9", "a.shop.example")
    assert op.raw == {"user_login": {"uid": "0", "op": "login", "terminal": "ssh"}}


def test_a_failed_login_is_by_nobody_who_is_known():
    text = 'op=login acct=28756E6B6E6F776E207573657229 exe="/usr/sbin/sshd" addr=203.0.113.9'
    op = one(user("USER_LOGIN", text, auid="4294967295", ses="4294967295", result="failed"))
    assert (op.outcome, op.actor_type, op.actor_confidence) == ("failure", "unknown", "unknown")
    assert op.fields["user.name"] == "(unknown user)"
    assert "trail.session.id" not in op.fields


def test_sudo_shows_who_and_as_whom():
    op = one(user("USER_START", 'op=PAM:session_open acct="root" exe="/usr/bin/sudo"'))
    assert (op.action, op.fields["user.id"], op.fields["user.effective.name"]) == ("session.start", "1000", "root")
    op = one(user("USER_CMD", 'cwd="/" cmd=6C73202F726F6F74 exe="/usr/bin/sudo"'))
    assert (op.action, op.fields["process.command_line"]) == ("auth.elevate", "ls /root")
    assert one(user("USER_AUTH", 'acct="root" exe="/usr/bin/su"')).action == "auth.elevate"


@pytest.mark.parametrize(
    ("kind", "text", "action", "target"),
    [
        ("ADD_USER", 'op=add-user acct="jo"', "user.create", {"user.target.name": "jo"}),
        ("DEL_USER", "op=delete-user id=1001", "user.delete", {"user.target.id": "1001"}),
        ("ADD_GROUP", 'op=add-group grp="crew"', "group.create", {"group.name": "crew"}),
        (
            "USER_MGMT",
            'op=add-user-to-group grp="wheel" acct="jo"',
            "group.add",
            {"group.name": "wheel", "user.target.name": "jo"},
        ),
        (
            "USER_MGMT",
            'op=deleting user from group acct="jo" grp="wheel"',
            "group.remove",
            {"group.name": "wheel", "user.target.name": "jo"},
        ),
        ("USER_CHAUTHTOK", 'op=adding user to group acct="jo"', "group.add", {"user.target.name": "jo"}),
        ("USER_CHAUTHTOK", 'op=adding user to shadow group acct="jo"', "log.message", {"user.target.name": "jo"}),
        ("USER_CHAUTHTOK", 'op=changing group member acct="jo"', "log.message", {"user.target.name": "jo"}),
        ("USER_CHAUTHTOK", "op=changing home directory id=1001", "user.update", {"user.target.id": "1001"}),
        ("ADD_USER", "op=adding home directory id=1001", "log.message", {"user.target.id": "1001"}),
        ("DEL_USER", "op=deleting user from group id=1001", "group.remove", {"user.target.id": "1001"}),
        ("ADD_GROUP", "op=adding group to /etc/group id=1005", "group.create", {"group.id": "1005"}),
        ("ADD_GROUP", "op=adding group to /etc/gshadow id=1005", "log.message", {"group.id": "1005"}),
        ("ADD_GROUP", "op= id=1005", "log.message", {"group.id": "1005"}),
        ("USER_ACCT", 'op=modifying group acct="crew" exe="/usr/sbin/groupmod"', "log.message", {"group.name": "crew"}),
        ("USER_MGMT", 'op=changing-shell acct="jo"', "user.update", {"user.target.name": "jo"}),
        ("USER_CHAUTHTOK", 'op=PAM:chauthtok acct="jo"', "password.change", {"user.target.name": "jo"}),
        ("USER_CHAUTHTOK", 'op=change-age acct="jo"', "user.update", {"user.target.name": "jo"}),
        ("ACCT_LOCK", 'op=lock acct="jo"', "user.lock", {"user.target.name": "jo"}),
    ],
)
def test_accounts_and_groups_are_targets(kind, text, action, target):
    op = one(user(kind, text))
    assert op.action == action
    assert op.fields.items() >= target.items()
    assert op.fields["user.effective.id"] == "0"


def test_debian_s_groupmod_tells_a_group_s_old_and_new_name():
    text = 'op=changing /etc/group; group crew/1005, new name: deck, new gid: 1006 acct="crew" exe="/usr/sbin/groupmod"'
    op = one(user("USER_ACCT", text))
    assert (op.action, op.object_type, op.object_id, op.object_name) == ("group.update", "group", "1005", "crew")
    assert op.changes == [Change("name", "crew", "deck"), Change("gid", "1005", "1006")]
    assert "user.name" not in op.fields


@pytest.mark.parametrize(
    ("kind", "text", "action", "changes"),
    [
        ("CONFIG_CHANGE", "op=set audit_enabled=0 old=1 res=1", "audit.disable", [Change("audit_enabled", "1", "0")]),
        ("CONFIG_CHANGE", "op=set audit_enabled=2 old=0 res=1", "audit.enable", [Change("audit_enabled", "0", "2")]),
        ("CONFIG_CHANGE", "audit_pid=7 old=0 res=1", "config.update", [Change("audit_pid", "0", "7")]),
        (
            "MAC_STATUS",
            "enforcing=0 old_enforcing=1 enabled=1 old-enabled=1 res=1",
            "config.update",
            [Change("enforcing", "1", "0")],
        ),
        ("MAC_CONFIG_CHANGE", "bool=x val=1 old_val=0", "config.update", [Change("x", "0", "1")]),
    ],
)
def test_settings_have_an_old_and_a_new_value(kind, text, action, changes):
    op = one(line(kind, f"{text} auid=1000 ses=3"))
    assert (op.action, op.changes, op.no_change) == (action, changes, False)


def test_a_setting_that_stayed_as_it_was_is_no_change_and_one_that_failed_changed_nothing():
    assert one(line("CONFIG_CHANGE", "op=set audit_failure=1 old=1 res=1")).no_change
    op = one(line("CONFIG_CHANGE", "op=set audit_enabled=0 old=1 res=0"))
    assert (op.changes, op.no_change, op.outcome, op.action) == ([], False, "failure", "config.update")
    assert op.raw["config_change"] == {"op": "set", "audit_enabled": "0", "old": "1"}


def test_rules_come_and_go():
    op = one(line("CONFIG_CHANGE", 'op=add_rule key="exec" list=4 res=1'))
    assert (op.action, op.object_type, op.object_id) == ("config.create", "audit_rule", "exec")
    op = one(line("CONFIG_CHANGE", "op=remove_rule key=65786563016964 list=4 res=1"))
    assert (op.action, op.raw["config_change"]["key"]) == ("config.delete", ["exec", "id"])


def test_a_denial_is_a_failure_unless_it_was_let_pass():
    text = 'avc:  denied  {{ read }} for  pid=7 comm="php" name="shadow" tclass=file permissive={}'
    assert one(line("AVC", text.format(0))).outcome == "failure"
    assert one(line("AVC", text.format(1))).outcome == "success"
    assert one(line("AVC", text.format(0))).raw["avc"]["text"] == "avc:  denied  { read } for"


def test_a_service_is_named():
    op = one(user("SERVICE_STOP", 'unit=rsyslog comm="systemd"', auid="4294967295"))
    assert (op.action, op.fields["service.name"], op.object_id) == ("service.stop", "rsyslog", "rsyslog")


def test_a_host_name_before_the_line_is_the_host():
    op = one("node=web1.shop.example " + line("USER_END", "pid=1 auid=1000 ses=3 msg='res=success'"))
    assert op.fields["host.name"] == "web1.shop.example"


@pytest.mark.parametrize(
    "lines",
    [
        [line("EXECVE", 'argc=3 a0="mysql" a1="-pHunter2!" a2="--password=Hunter2!"')],
        [line("EXECVE", f'argc=2 a0="sh" a1={b"PGPASSWORD=Hunter2! psql".hex().upper()}')],
        [call(59), line("PROCTITLE", "proctitle=" + b"mysql\0--password=Hunter2!".hex().upper())],
        [user("USER_CMD", f"cmd={b'env PGPASSWORD=Hunter2! psql'.hex().upper()}")],
        [line("USER_TTY", f"auid=1000 data={b'mysql --password=Hunter2!'.hex().upper()}")],
        [user("USER_ACCT", 'op=x cmd="--password Hunter2!"')],
    ],
)
def test_secrets_in_commands_are_dropped_everywhere(lines):
    op = one(*lines)
    assert "Hunter2!" not in repr(op)
    assert "process.args" not in op.fields


def test_names_that_users_chose_forge_no_members():
    acct = b"root addr=192.0.2.99 auid=0 res=success".hex().upper()
    op = one(user("USER_LOGIN", f"op=login acct={acct} addr=198.51.100.6", auid="4294967295", result="failed"))
    assert (op.outcome, op.fields["source.ip"]) == ("failure", "198.51.100.6")
    assert "user.id" not in op.fields


@pytest.mark.parametrize(
    "record",
    [
        "type=SYSCALL msg=audit(): a=1",
        "SYSCALL msg=audit(1.1:1): a=1",
        "Mar 10 13:55:36 web1 audisp: " + line("SYSCALL", "a=1"),
        line("SYSCALL", "a=1") + "\nnoise",
        line("SYSCALL", "a=1") + "\n" + line("PATH", "a=1", "1770110400.123:8"),
        line("SYSCALL", "a=1") + "\nnode=x " + line("PATH", "a=1"),
        "",
    ],
)
def test_what_is_no_event_is_refused(record):
    assert isinstance(auditd.parse(record.encode(), CTX), Rejected)


SAMPLES = [
    call(59, f'{GS}AUID="kim"'),
    line("EXECVE", 'argc=2 a0="a" a1[0]=6161 a1[1]=62'),
    line("PATH", 'item=0 name="x" nametype=CREATE'),
    line("PATH", 'item=0 name="y" nametype=DELETE'),
    line("CWD", 'cwd="/"'),
    line("SOCKADDR", "saddr=020001BBC63364070000000000000000"),
    line("CONFIG_CHANGE", "op=set audit_enabled=0 old=1 res=1"),
    line("USER_MGMT", 'auid=1 msg=\'op=add-to-group acct="x" grp="y" res=success\''),
    line("AVC", "avc:  denied  { read } for pid=1"),
]


@settings(max_examples=500, deadline=None)
@given(
    lines=st.lists(st.sampled_from(SAMPLES), min_size=1, max_size=4),
    place=st.integers(0, 400),
    piece=st.sampled_from(["", "=", '"', "'", "{", "}", GS, "[9999]=", " a0=", "auid=", "\0", "é", "\n", "msg='", "="]),
    gone=st.integers(0, 9),
)
def test_whatever_happens_to_a_line_the_result_is_sound(lines, place, piece, gone):
    text = "\n".join(lines)
    assert_sound(auditd.parse((text[:place] + piece + text[place + gone :]).encode(), CTX))
