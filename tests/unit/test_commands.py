"""Secrets in command lines and SQL are dropped by the words before them, and nothing else is."""

import time

import pytest

from parsers._commands import clean_command, clean_sql, drop_secrets
from parsers._contract import Operation

GONE = "(secret dropped)"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("ALTER ROLE kim PASSWORD 'x' LOGIN", f"ALTER ROLE kim PASSWORD '{GONE}' LOGIN"),
        ("alter role kim encrypted password E'x\\'y'", f"alter role kim encrypted password E'{GONE}'"),
        ("create user k identified by 'x''y' z", f"create user k identified by '{GONE}' z"),
        ("create user k identified with sha2 by 'x'", f"create user k identified with sha2 by '{GONE}'"),
        ("set password for kim = 'x'", f"set password for kim = '{GONE}'"),
        ("ALTER ROLE kim PASSWORD $a$it's$a$ LOGIN", f"ALTER ROLE kim PASSWORD '{GONE}' LOGIN"),
        ("ALTER ROLE kim PASSWORD 'never closed", f"ALTER ROLE kim PASSWORD '{GONE}'"),
        (
            "CREATE SUBSCRIPTION s CONNECTION 'host=a password=x'",
            f"CREATE SUBSCRIPTION s CONNECTION 'host=a password={GONE}'",
        ),
        ("select crypt('x', gen_salt('bf'))", f"select crypt('{GONE}', gen_salt('bf'))"),
        ("ALTER ROLE kim PASSWORD NULL", "ALTER ROLE kim PASSWORD NULL"),
        ("select password from t where a = 'b'", "select password from t where a = 'b'"),
        ("select 1", "select 1"),
    ],
)
def test_sql_loses_its_secrets(text, clean):
    assert clean_sql(text) == clean


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("app --password=x --db hr", f"app --password={GONE} --db hr"),
        ("app --password x --db hr", f"app --password {GONE} --db hr"),
        ("app --api-key 'a b'", f"app --api-key {GONE}"),
        ("TOKEN=x AWS_SECRET_ACCESS_KEY=y app", f"TOKEN={GONE} AWS_SECRET_ACCESS_KEY={GONE} app"),
        ("mysql -uroot -px hr", f"mysql -uroot -p{GONE} hr"),
        ("/usr/bin/sshpass -p x ssh a", f"/usr/bin/sshpass -p {GONE} ssh a"),
        ("docker login -u a -p x", f"docker login -u a -p {GONE}"),
        ("docker run -p 80:80 a", "docker run -p 80:80 a"),
        ("mkdir -p /a", "mkdir -p /a"),
        ("curl https://a:x@b.example/", f"curl https://a:{GONE}@b.example/"),
        ("curl https://b.example/?code=x&page=2", f"curl https://b.example/?code={GONE}&page=2"),
        ("curl -H 'Authorization: Bearer x'", f"curl -H 'Authorization: Bearer {GONE}'"),
        ("ldapsearch -w x", f"ldapsearch -w {GONE}"),
        ("app --password-file /etc/x", "app --password-file /etc/x"),
        ("passwd kim", "passwd kim"),
        ("PWD=/home/kim", "PWD=/home/kim"),
    ],
)
def test_commands_lose_their_secrets(text, clean):
    assert clean_command(text) == clean


def test_records_of_texts_lose_secrets_by_name_and_inside_of_texts():
    op = Operation(
        "log.message",
        "log",
        raw={
            "auth": "x",
            "Cookie": ["x", "y"],
            "password": "x",
            "cmd": "app --token x",
            "more": ["a=1", "token=x"],
            "n": 1,
        },
        fields={"url.original": "https://b.example/?sig=x", "user.name": "token=x"},
        message="token=x",
    )
    drop_secrets(op)
    assert op.raw == {
        **dict.fromkeys(("auth", "Cookie", "password"), GONE),
        "cmd": f"app --token {GONE}",
        "more": ["a=1", f"token={GONE}"],
        "n": 1,
    }
    assert op.fields == {"url.original": f"https://b.example/?sig={GONE}", "user.name": "token=x"}
    assert op.message == f"token={GONE}"


@pytest.mark.parametrize("unit", ["password ", "'", "password='", "-p ", "--", "://", "token: ", "pass=", "mysql -p"])
def test_long_nonsense_does_not_stall(unit):
    text = unit * (100_000 // len(unit))
    start = time.perf_counter()
    clean_command(text)
    clean_sql(text)
    assert time.perf_counter() - start < 2
