from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipper.seal.tree import EMPTY_ROOT, Tree, leaf_hash

# The inputs and roots that certificate-transparency's own tests use for RFC 6962.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def plain_leaf(data):
    return sha256(b"\x00" + data).digest()


def naive_root(leaves):
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def test_the_known_roots_of_the_eight_leaf_tree_come_out():
    tree = Tree()
    assert tree.root() == EMPTY_ROOT
    for data, root in zip(INPUTS, ROOTS, strict=True):
        tree.extend([plain_leaf(bytes.fromhex(data))])
        assert tree.root().hex() == root


def test_a_leaf_is_the_hash_of_a_zero_byte_nonce_and_body():
    assert leaf_hash(b"n" * 16, b"{}") == sha256(b"\x00" + b"n" * 16 + b"{}").digest()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 40), max_size=6))
def test_batches_of_any_size_give_the_root_of_the_definition(sizes):
    tree, leaves = Tree(), []
    for size in sizes:
        batch = [plain_leaf(bytes([len(leaves) + n & 255, size])) for n in range(size)]
        leaves += batch
        tree.extend(batch)
        assert tree.size == len(leaves)
        assert tree.root() == naive_root(leaves)
        assert Tree(tree.size, tree.frontier()).root() == tree.root()


def test_the_frontier_holds_the_complete_subtrees_from_left_to_right():
    leaves = [plain_leaf(bytes([n])) for n in range(7)]
    tree = Tree()
    tree.extend(leaves)
    assert tree.frontier() == [naive_root(leaves[:4]), naive_root(leaves[4:6]), leaves[6]]


def test_a_range_taken_up_again_goes_on_like_the_first():
    leaves = [plain_leaf(bytes([n])) for n in range(100)]
    first = Tree()
    first.extend(leaves[:37])
    second = Tree(37, first.frontier())
    second.extend(leaves[37:])
    assert second.root() == naive_root(leaves)
    assert first.root() == naive_root(leaves[:37])


def test_a_copy_is_independent():
    tree = Tree()
    tree.extend([plain_leaf(b"a")])
    other = tree.copy()
    other.extend([plain_leaf(b"b")])
    assert (tree.size, other.size) == (1, 2)
    assert tree.root() != other.root()


@pytest.mark.parametrize(
    ("size", "frontier"),
    [(1, []), (0, [b"x" * 32]), (2, [b"x" * 31]), (-1, []), (1 << 60, [b"x" * 32]), (3, [b"x" * 32])],
)
def test_a_frontier_that_does_not_fit_the_size_is_refused(size, frontier):
    with pytest.raises(ValueError, match=r"tree size|frontier"):
        Tree(size, frontier)
