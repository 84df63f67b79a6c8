from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.seal.note import (
    Checkpoint,
    NoteError,
    Verifier,
    checkpoint_text,
    decode_base64,
    log_id,
    open_checkpoint,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    public_bytes,
    sign,
    verify_note,
    vkey,
)

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
NAME = "acme.example/audit/hr-app-03/20260203T103000Z-0a1b2c3d"
TEXT = checkpoint_text(NAME, 5, b"r" * 32)
NOTE = sign(TEXT, NAME, KEY)
ME = Verifier(NAME, public_bytes(KEY))

# The example of golang.org/x/mod/sumdb/note: a key and a note that other people's tools made.
GO_VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_a_note_made_by_the_reference_implementation_verifies():
    verifier = parse_vkey(GO_VKEY)
    assert verifier.name == "PeterNeumann"
    assert verify_note(GO_NOTE, [verifier]) == [verifier]
    with pytest.raises(NoteError, match="does not verify"):
        verify_note(GO_NOTE.replace("problem is", "problem Is"), [verifier])


def test_a_checkpoint_that_was_signed_opens_again():
    assert open_checkpoint(NOTE, [ME]) == Checkpoint(NAME, 5, b"r" * 32)
    assert open_checkpoint(NOTE.encode(), [Verifier("other.example", ME.public), ME]).size == 5


def test_signing_twice_gives_the_same_note():
    assert sign(TEXT, NAME, KEY) == NOTE


def test_a_note_of_another_key_is_refused():
    with pytest.raises(NoteError, match="no trusted key"):
        verify_note(sign(TEXT, NAME, OTHER), [ME])


def test_a_signature_of_an_unknown_key_is_ignored_beside_a_known_one():
    foreign = sign(TEXT, "witness.example", OTHER).split("\n\n")[1]
    assert verify_note(NOTE + foreign, [ME]) == [ME]


def test_a_bad_signature_of_a_known_key_spoils_the_note():
    bad = b64encode(ME.key_id + b"s" * 64).decode()
    with pytest.raises(NoteError, match="does not verify"):
        verify_note(NOTE + f"— {NAME} {bad}\n", [ME])


def test_a_verifier_key_survives_its_text_form():
    assert parse_vkey(vkey(NAME, ME.public)) == ME


def test_the_log_id_is_the_start_of_the_hash_of_the_origin():
    assert log_id("example.com/log") == __import__("hashlib").sha256(b"example.com/log").hexdigest()[:16]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "name+id",
        "na me+00000000+AAAA",
        vkey(NAME, ME.public)[:-4],
        vkey(NAME, ME.public).replace("hr-app-03", "hr-app-04"),
        vkey(NAME, ME.public).replace("+A", "+B", 1),
        f"{NAME}+00000000+{b64encode(chr(1).encode() + ME.public).decode()}",
        f"{NAME}+00000000+{b64encode(chr(2).encode() + ME.public).decode()}",
    ],
)
def test_a_malformed_verifier_key_is_refused(text):
    with pytest.raises(NoteError):
        parse_vkey(text)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        TEXT + "\n",
        NOTE[:-1],
        NOTE.replace("—", "-"),
        NOTE.replace("— ", "—  "),
        NOTE + "\n",
        NOTE + "x\n",
        NOTE.replace("5\n", "5\r\n"),
        NOTE.replace("5\n", "5\x00\n"),
        NOTE.replace("=\n", "\n"),
        NOTE + f"— a {b64encode(b'1234').decode()}\n",
        NOTE + f"— a+b {b64encode(b'12345').decode()}\n",
        NOTE + f"— a {b64encode(b'12345').decode()}\n" * 100,
        "x" * 70_000 + NOTE,
        b"\xff" + NOTE.encode(),
    ],
)
def test_a_malformed_note_is_refused(note):
    with pytest.raises(NoteError):
        parse_note(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{NAME}\n5\n",
        TEXT + "extension\n",
        TEXT.replace("\n5\n", "\n05\n"),
        TEXT.replace("\n5\n", "\n-5\n"),
        TEXT.replace("\n5\n", "\n٥\n"),
        TEXT.replace("\n5\n", "\n9999999999999999\n"),
        TEXT.replace(NAME, ""),
        TEXT.replace(NAME, "a b"),
        f"{NAME}\n5\n{b64encode(b'r' * 31).decode()}\n",
        f"{NAME}\n5\n{b64encode(b'r' * 32).decode()[:-2]}x=\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text):
    with pytest.raises(NoteError):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"), [("", 1, b"r" * 32), ("a b", 1, b"r" * 32), ("a", -1, b"r" * 32), ("a", 1, b"r")]
)
def test_a_checkpoint_that_nobody_could_read_is_never_written(origin, size, root):
    with pytest.raises(NoteError):
        checkpoint_text(origin, size, root)


def test_base64_with_spare_bits_is_refused():
    assert decode_base64("AA==") == b"\0"
    with pytest.raises(NoteError):
        decode_base64("AB==")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.binary(max_size=60))
def test_no_input_makes_the_note_parser_crash(data):
    try:
        parse_note(data)
    except NoteError:
        return


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(NOTE) - 1), st.characters())
def test_a_note_with_any_character_changed_does_not_open_as_another_checkpoint(at, char):
    changed = NOTE[:at] + char + NOTE[at + 1 :]
    try:
        checkpoint = open_checkpoint(changed, [ME])
    except NoteError:
        return
    assert checkpoint == Checkpoint(NAME, 5, b"r" * 32)
