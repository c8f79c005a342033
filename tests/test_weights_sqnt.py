"""The file format: without loss, accounted to the byte, and safe to read whatever the bytes."""

import hashlib
import json
import tracemalloc
import zlib

import numpy as np
import pytest
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from squeezenet.weights import sqnt

ARCHITECTURE = {"model": "squeezenet", "input_shape": [32, 32, 3], "nb_classes": 10}


def example(seed=0):
    """A tensor of each kind: dense, pruned, shared, on a grid, all zero, of one value; biases."""
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(3, 3, 4, 10)).astype(np.float32)
    pruned = dense * (np.abs(dense) > 1.3)
    shared = rng.choice(rng.normal(size=7).astype(np.float32), (40, 50)) * rng.integers(0, 2, (40, 50), np.uint8)
    grid = np.float32(0.0625) * rng.integers(-9, 20, (40, 50)).astype(np.float32)
    kernels = [dense, pruned, shared.astype(np.float32), grid, np.zeros((5, 60)), np.full((7, 9), 0.3)]
    tensors = {f"layer{i}/kernel": kernel.astype(np.float32) for i, kernel in enumerate(kernels)}
    return tensors | {"layer0/bias": dense[0, 0, 0], "layer1/bias": np.float32([0.5, 0, -2])}


def assert_bit_equal(got, expected):
    assert list(got) == list(expected)
    for name, tensor in expected.items():
        assert got[name].dtype == np.float32 and got[name].shape == tensor.shape
        # 0 is added, so that -0.0 becomes 0.0
        np.testing.assert_array_equal(got[name].view(np.uint32), (tensor + 0).view(np.uint32), err_msg=name)


@pytest.mark.parametrize(("coder", "sha256"), [("range", "da7fd6eb6e32a447"), ("huffman", "34eb50b932c618ed")])
def test_round_trip_is_bit_equal_and_every_byte_accounted(coder, sha256):
    """And no version may write other bytes than 0.2.0, which had this sha256."""
    tensors = example()
    data = sqnt.encode(tensors, ARCHITECTURE, coder)
    architecture, decoded = sqnt.decode(data)
    assert architecture == ARCHITECTURE
    assert_bit_equal(decoded, tensors)
    assert sum(sqnt.byte_table(data).values()) == len(data) and hashlib.sha256(data).hexdigest().startswith(sha256)
    forms = {tensor["name"]: tensor["form"] for tensor in sqnt.describe(data)}
    assert (forms["layer0/kernel"], forms["layer2/kernel"], forms["layer3/kernel"]) == ("<f4", "list", "grid")
    assert (forms["layer0/bias"], forms["layer1/bias"]) == ("<f4", "<f2")


@settings(max_examples=150, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=1, max_dims=4, max_side=9),
        elements=st.one_of(
            st.just(0.0), st.sampled_from([0.5, -0.25, 3.0]), st.floats(width=32, allow_nan=False, allow_infinity=False)
        ),
    ),
    st.sampled_from(sqnt.CODERS),
)
def test_any_finite_tensor_round_trips(tensor, coder):
    assert_bit_equal(sqnt.decode(sqnt.encode({"t": tensor}, {}, coder))[1], {"t": tensor})


def test_codes_and_masks_cost_their_entropy():
    rng = np.random.default_rng(0)
    kernel = np.rint(rng.normal(0, 5, 200_000)).reshape(400, 500) * (rng.random((400, 500)) < 0.3)
    data = sqnt.encode({"k": kernel.astype(np.float32)}, {})
    table = sqnt.byte_table(data)

    def entropy(values):
        counts = np.unique(values, return_counts=True)[1]
        return (counts * np.log2(counts.sum() / counts)).sum() / 8

    assert table["codes"] == pytest.approx(entropy(kernel[kernel != 0]), rel=0.01)
    assert table["masks"] == pytest.approx(entropy(kernel != 0), rel=0.01)
    assert len(data) < len(sqnt.encode({"k": kernel.astype(np.float32)}, {}, "huffman"))


FILES = [sqnt.encode(example(), ARCHITECTURE, coder) for coder in sqnt.CODERS]


def reseal(data):
    """Make the checksum fit, so that damage reaches the later checks."""
    return data[:8] + zlib.crc32(data[12:]).to_bytes(4, "little") + data[12:]


@settings(max_examples=300, deadline=None)
@given(damaged(*FILES))
def test_damage_is_one_clear_error_within_bounds(data):
    """With the right checksum, damage may decode to other values, but to nothing else than tensors or that error."""
    if data not in FILES:
        with pytest.raises(ValueError, match=r"^damaged network file: "):
            sqnt.decode(data)
    tracemalloc.start()
    try:
        _, tensors = sqnt.decode(reseal(data))
        assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    except ValueError as error:
        assert str(error).startswith("damaged network file: ")
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 16 * (sqnt.MOST_EXPANSION * len(data) + sqnt.ROOM) + 8 * sqnt.MOST_HEADER


def header_of(data):
    return json.loads(zlib.decompress(sqnt._sections(data)["header"]))


def with_header(data, header):
    """A file with another header, which is JSON that is to be deflated, and a checksum that fits."""
    sections = sqnt._sections(data) | {"header": zlib.compress(header)}
    body = sqnt.LENGTHS.pack(*map(len, sections.values())) + b"".join(sections.values())
    return reseal(data[:12] + body)


ONE = sqnt.encode({"t": np.ones((4, 4), np.float32)}, {})


def test_claims_of_a_hostile_header():
    """Of the file's one tensor."""
    for claim in (
        {"shape": [2**31, 2**31]}, {"shape": [10**9], "stored": 0}, {"stored": 2**40}, {"gaps": 2**40, "stored": 2},
        {"entries": 2**40}, {"shape": []}, {"form": "object"}, {"name": 3}, {"more": 1},
    ):  # fmt: skip
        header = header_of(ONE)
        header["tensors"][0] |= claim
        with pytest.raises(ValueError, match=r"^damaged network file: "):
            sqnt.decode(with_header(ONE, json.dumps(header).encode()))


def test_bombs_do_not_inflate():
    bomb = with_header(ONE, b" " * 2**27)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"deflated section"):
        sqnt.decode(bomb)
    assert tracemalloc.get_traced_memory()[1] < 4 * sqnt.MOST_HEADER
    tracemalloc.stop()
