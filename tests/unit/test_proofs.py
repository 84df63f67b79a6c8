from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from shipper.seal.note import NoteError, checkpoint_text, sign
from shipper.seal.proofs import (
    Range,
    consistency_proof,
    inclusion_proof,
    parse_proof,
    proof_text,
    verify_consistency,
    verify_inclusion,
)
from shipper.seal.tree import Tree

LEAVES = [sha256(b"\x00" + bytes([n])).digest() for n in range(80)]
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def tree_of(size):
    tree = Tree()
    tree.extend(LEAVES[:size])
    return tree


def test_the_proofs_of_the_example_tree_of_rfc_6962():
    # RFC 6962 section 2.1.3: the tree of seven leaves; PATH(0) = [b, h, l], PATH(6) = [i, k], PROOF(3) = [c, d, g, l].
    a, b, c, d, e, f, j = LEAVES[:7]

    def node(left, right):
        return sha256(b"\x01" + left + right).digest()

    g, h, i = node(a, b), node(c, d), node(e, f)
    k = node(g, h)
    whole = Range(0, [], LEAVES[:7])
    assert inclusion_proof(whole, 0) == [b, h, node(i, j)]
    assert inclusion_proof(whole, 6) == [i, k]
    assert consistency_proof(whole, 3) == [c, d, g, node(i, j)]
    assert consistency_proof(whole, 4) == [node(i, j)]
    assert consistency_proof(whole, 6) == [i, j, k]


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_leaf_of_a_batch_is_proved_by_the_frontier_and_the_leaves_of_the_batch(data):
    size = data.draw(st.integers(1, 80))
    start = data.draw(st.integers(0, size - 1))
    index = data.draw(st.integers(start, size - 1))
    part = Range(start, tree_of(start).frontier(), LEAVES[start:size])
    proof = inclusion_proof(part, index)
    root = tree_of(size).root()
    assert verify_inclusion(LEAVES[index], index, size, root, proof)
    other = data.draw(st.integers(0, size - 1))
    if other != index:
        assert not verify_inclusion(LEAVES[index], other, size, root, proof)
        assert not verify_inclusion(LEAVES[other], index, size, root, proof)
    assert not verify_inclusion(LEAVES[index], index, size, root, [*proof, b"x" * 32])
    if proof:
        assert not verify_inclusion(LEAVES[index], index, size, root, proof[:-1])
        assert not verify_inclusion(LEAVES[index], index, size, root, [proof[0] + b"x", *proof[1:]])


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 80), st.integers(1, 80), st.booleans())
def test_an_older_tree_is_proved_to_be_the_beginning_of_a_newer_one(old, new, from_frontier):
    assume(old <= new)
    start = old if from_frontier else 0
    part = Range(start, tree_of(start).frontier(), LEAVES[start:new])
    proof = consistency_proof(part, old)
    old_root, new_root = tree_of(old).root(), tree_of(new).root()
    assert verify_consistency(old, new, old_root, new_root, proof)
    assert not verify_consistency(old, new, b"x" * 32, new_root, proof)
    assert not verify_consistency(old, new, old_root, b"x" * 32, proof)
    assert not verify_consistency(old, new, old_root, new_root, [*proof, b"x" * 32])
    if old < new:
        assert not verify_consistency(old, new, old_root, new_root, proof[:-1])


def test_malformed_sizes_prove_nothing():
    root = tree_of(5).root()
    assert not verify_consistency(0, 5, root, root, [])
    assert not verify_consistency(6, 5, root, root, [])
    assert not verify_consistency(3, 5, root, root, [])
    assert not verify_inclusion(LEAVES[0], 0, 0, root, [])
    assert not verify_inclusion(LEAVES[0], -1, 5, root, [])
    assert not verify_inclusion(LEAVES[0], 5, 5, root, [])


def test_a_range_refuses_what_it_cannot_compute():
    part = Range(6, tree_of(6).frontier(), LEAVES[6:9])
    with pytest.raises(ValueError, match="does not lie in this range"):
        inclusion_proof(part, 5)
    with pytest.raises(ValueError, match="not known"):
        part.hash(0, 2)
    with pytest.raises(ValueError, match="32 bytes"):
        Range(0, [], [b"short"])
    with pytest.raises(ValueError, match="above 0"):
        consistency_proof(part, 0)


NOTE = sign(checkpoint_text("example.com/log", 5, tree_of(5).root()), "example.com/log", KEY)


def test_a_proof_file_survives_writing_and_reading():
    proof = inclusion_proof(Range(0, [], LEAVES[:5]), 3)
    text = proof_text(3, proof, NOTE, b"extra data")
    assert text.startswith("c2sp.org/tlog-proof@v1\nextra ZXh0cmEgZGF0YQ==\nindex 3\n")
    got = parse_proof(text)
    assert (got.index, list(got.proof), got.note, got.extra) == (3, proof, NOTE, b"extra data")
    assert got.parsed_note().text.startswith("example.com/log\n5\n")
    assert parse_proof(proof_text(0, [], NOTE)).proof == ()


TEXT = proof_text(3, [b"x" * 32], NOTE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        NOTE,
        TEXT.replace("@v1", "@v2"),
        TEXT.replace("index 3", "index 03"),
        TEXT.replace("index 3", "index -3"),
        TEXT.replace("index 3", "index"),
        TEXT.replace("index 3\n", ""),
        TEXT.replace("index 3", "index 99999999999999999"),
        TEXT.replace("eHh4", "eHh", 1),
        TEXT.replace("\n\n", "\n", 1),
        proof_text(3, [b"x" * 31], NOTE),
        proof_text(3, [b"x" * 32] * 65, NOTE),
        TEXT + "\n",
    ],
)
def test_a_malformed_proof_file_is_refused(text):
    with pytest.raises(NoteError):
        parse_proof(text)
