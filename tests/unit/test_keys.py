import json
import os
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.errors import ConfigError
from shipper.seal.keys import create_identity, custody_key, fingerprint, load_identity
from shipper.seal.note import checkpoint_text, public_bytes, sign, vkey
from shipper.seal.trust import Generation, Trust, parse_trust, read_trust, trust_json, write_trust

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
PREFIX = "acme.example/audit/hr-app-03"
ORIGIN = PREFIX + "/20260203T103000Z-0a1b2c3d"


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "keys"
    create_identity(folder)
    return folder


def test_a_created_key_is_private_and_loads_again(tmp_path):
    folder = tmp_path / "state" / "keys"
    key = create_identity(folder)
    assert stat.S_IMODE((folder / "identity.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert public_bytes(load_identity(folder)) == public_bytes(key)


def test_an_existing_key_is_never_replaced(folder):
    before = (folder / "identity.pem").read_bytes()
    with pytest.raises(ConfigError, match="there is a key already") as caught:
        create_identity(folder)
    assert caught.value.exit_code == 78
    assert (folder / "identity.pem").read_bytes() == before


def test_a_missing_key_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load_identity(tmp_path / "keys")
    assert caught.value.hint == "fieldtrail keys init"
    (tmp_path / "keys").mkdir(mode=0o700)
    with pytest.raises(ConfigError) as caught:
        load_identity(tmp_path / "keys")
    assert caught.value.hint == "fieldtrail keys init"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_open_to_others_is_refused(folder, mode):
    (folder / "identity.pem").chmod(mode)
    with pytest.raises(ConfigError, match="open to group or others") as caught:
        load_identity(folder)
    assert caught.value.hint == f"chmod 600 {folder / 'identity.pem'}"


def test_a_key_folder_open_to_others_is_refused(folder):
    folder.chmod(0o750)
    with pytest.raises(ConfigError, match="open to group or others") as caught:
        load_identity(folder)
    assert caught.value.hint == f"chmod 700 {folder}"


def test_a_key_of_another_owner_is_refused(folder, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(ConfigError, match="belongs to user id"):
        load_identity(folder)


def test_a_symbolic_link_in_place_of_the_key_is_refused(folder, tmp_path):
    real = tmp_path / "elsewhere.pem"
    (folder / "identity.pem").rename(real)
    (folder / "identity.pem").symlink_to(real)
    with pytest.raises(ConfigError, match="symbolic link"):
        load_identity(folder)


def test_a_symbolic_link_in_place_of_the_folder_is_refused(folder, tmp_path):
    (tmp_path / "linked").symlink_to(folder)
    with pytest.raises(ConfigError):
        load_identity(tmp_path / "linked")


def test_a_fifo_in_place_of_the_key_is_an_error_and_no_wait(folder):
    (folder / "identity.pem").unlink()
    os.mkfifo(folder / "identity.pem", 0o600)
    with pytest.raises(ConfigError, match="not a key file"):
        load_identity(folder)


def _pem(key, encryption=None):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        _pem(KEY, BestAvailableEncryption(b"secret")),
        _pem(generate_private_key(65537, 2048)),
        b"x" * 20_000,
    ],
)
def test_a_file_that_is_no_plain_ed25519_key_is_refused(folder, content):
    (folder / "identity.pem").write_bytes(content)
    with pytest.raises(ConfigError):
        load_identity(folder)


def test_the_custody_key_is_stable_and_is_not_the_identity_key(folder):
    assert custody_key(folder) == custody_key(folder)
    assert len(custody_key(folder)) == 32
    assert custody_key(folder) != load_identity(folder).private_bytes_raw()


def test_the_fingerprint_is_the_unpadded_hash_of_the_public_key():
    assert fingerprint(b"\0" * 32) == "SHA256:Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU"


ROOT = b"r" * 32
TRUST = Trust(
    PREFIX,
    (public_bytes(KEY),),
    (
        Generation(ORIGIN, b"g" * 32, sign(checkpoint_text(ORIGIN, 7, ROOT), ORIGIN, KEY)),
        Generation(PREFIX + "/20260301T000000Z-00000000", None, ""),
    ),
)


def test_a_trust_file_survives_writing_and_reading(tmp_path):
    write_trust(tmp_path / "trust.json", TRUST)
    got = read_trust(tmp_path / "trust.json")
    assert got == TRUST
    assert got.checkpoint(got.generations[0]).size == 7
    assert got.checkpoint(got.generations[1]) is None
    assert json.loads((tmp_path / "trust.json").read_text())["fingerprint"] == fingerprint(public_bytes(KEY))


def test_a_trust_file_holds_verifier_keys_that_other_tools_read():
    document = json.loads(trust_json(TRUST))
    assert document["generations"][0]["verifiers"] == [vkey(ORIGIN, public_bytes(KEY))]


def test_trust_covers_the_generations_of_its_agent_only():
    assert TRUST.covers(ORIGIN)
    assert not TRUST.covers(PREFIX)
    assert not TRUST.covers(PREFIX + "2/20260203T103000Z-0a1b2c3d")
    assert not TRUST.covers(PREFIX + "/x/20260203T103000Z-0a1b2c3d")


def _changed(**changes):
    return json.dumps({**json.loads(trust_json(TRUST)), **changes}).encode()


def _generation(**changes):
    return [{**json.loads(trust_json(TRUST))["generations"][0], **changes}]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"a":1,"a":1}',
        b" " * 5_000_000,
        _changed(fieldtrail_trust=2),
        _changed(extra=1),
        _changed(origin=7),
        _changed(origin="a b"),
        _changed(origin=PREFIX + "x"),
        _changed(fingerprint=fingerprint(b"x" * 32)),
        _changed(verifiers=[]),
        _changed(verifiers=[7]),
        _changed(verifiers=["x"]),
        _changed(generations={}),
        _changed(generations=[7]),
        _changed(generations=_generation() * 2),
        _changed(generations=_generation(origin="acme.example/audit/other/1")),
        _changed(generations=_generation(verifiers=[vkey(ORIGIN, public_bytes(OTHER))])),
        _changed(generations=_generation(genesis="x")),
        _changed(generations=_generation(genesis=7)),
        _changed(generations=_generation(note="x")),
        _changed(generations=_generation(note=None)),
        _changed(generations=_generation(note=sign(checkpoint_text(ORIGIN, 7, ROOT), ORIGIN, OTHER))),
        _changed(generations=_generation(note=sign(checkpoint_text("other.example", 7, ROOT), ORIGIN, KEY))),
    ],
)
def test_a_trust_file_that_contradicts_itself_is_refused(data):
    with pytest.raises(ConfigError) as caught:
        parse_trust(data, "trust.json")
    assert caught.value.hint


def test_a_trust_file_that_cannot_be_opened_says_so(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        read_trust(tmp_path / "none.json")
    with pytest.raises(ConfigError):
        write_trust(tmp_path / "none" / "trust.json", TRUST)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_trust_file_makes_the_reader_crash(data):
    text = trust_json(TRUST).encode()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + data.draw(st.binary(max_size=4)) + text[at + data.draw(st.integers(0, 40)) :]
    try:
        parse_trust(changed)
    except ConfigError:
        return
