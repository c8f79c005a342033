"""The authors' file against the paper's Table 1, the reference logits, and thousands of damaged files."""

import tracemalloc
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from damage import damaged
from hypothesis import given, settings

from squeezenet import models
from squeezenet.weights import authors, sqnt

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
COPY = next((p for f in (ROOT / "data/external", SHARED / "weights") if (p := f / authors.NAME).exists()), None)
needs_file = pytest.mark.skipif(COPY is None, reason="the authors' file is neither in data/external nor ../shared")
SHAPES = models.released_shapes()
ARCHITECTURE = models.RELEASED["1.0"]


@pytest.fixture(scope="module")
def decoded():
    tensors, layers = authors.decode(COPY.read_bytes(), SHAPES)
    return tensors, pd.DataFrame(layers).set_index("layer")


@needs_file
def test_kept_weights_are_those_of_table_1(decoded):
    _, layers = decoded
    assert layers.nonzero.sum() + layers.biases.sum() == 419_897
    assert (layers.stored.sum(), layers.nonzero.sum()) == (422_083, 415_921)
    table = pd.read_csv(ROOT / "data/paper/table1.csv", index_col="layer").filter(like="kept").stack().dropna()
    kept = 100 * layers.nonzero / layers.weights
    printed = {"_".join([layer, *column.split()[1:-1]]): share for (layer, column), share in table.items()}
    assert set(printed) == set(kept.index)
    off = (kept - pd.Series(printed)).abs()
    assert off.pop("fire8_expand3x3") == pytest.approx(33 - 29.94, abs=0.01)  # a misprint: its row's count says 30%
    assert off.pop("conv1") < 1.5 and off.max() < 1.1


@needs_file
def test_bytes_add_up(decoded):
    assert sum(authors.byte_table(COPY.read_bytes(), SHAPES).values()) == COPY.stat().st_size == 675_763


@needs_file
def test_our_file_without_loss_is_small(decoded):
    tensors, _ = decoded
    data = sqnt.encode(tensors, ARCHITECTURE)
    assert len(data) < 545_000
    architecture, restored = sqnt.decode(data)
    assert architecture == ARCHITECTURE
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(restored[name].view(np.uint32), tensor.view(np.uint32), err_msg=name)


def forged(stored, seed=0):
    """A file of our making with so many stored entries in each layer."""
    rng, kernels = np.random.default_rng(seed), SHAPES
    content = [np.full(len(kernels), stored, "<u4")]
    for shape in kernels.values():
        codebook = rng.normal(size=authors.CODEBOOK).astype("<f4")
        codebook[0] = 0
        pairs = rng.integers(0, 256, -(-stored // 2), dtype=np.uint8)
        if stored % 2:
            pairs[-1] &= 15
        codes = rng.integers(1, 256, stored, dtype=np.uint8)
        content += [codebook, rng.normal(size=shape[-1]).astype("<f4"), codes, pairs]
    return b"".join(part.tobytes() for part in content)


@pytest.mark.parametrize("stored", [0, 1, 40, 41])
def test_forged_files_decode(stored):
    tensors, layers = authors.decode(forged(stored), SHAPES)
    assert {layer.nonzero for layer in layers} == {stored} and len(tensors) == 2 * len(layers)


SMALL = forged(41)


@settings(max_examples=600, deadline=None)
@given(damaged(SMALL))
def test_damage_ends_in_one_error_within_bounds(data):
    """The format has no checksum (`verify` compares the sha256): flipped weights decode, nothing else does."""
    tracemalloc.start()
    try:
        tensors, _ = authors.decode(data, SHAPES)
        assert len(data) == len(SMALL)
        assert all(np.isfinite(tensor).all() for tensor in tensors.values())
    except ValueError as error:
        assert str(error).startswith("damaged authors' file: ")
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 2**25


def test_a_wrong_copy_is_refused_and_a_missing_one_is_said(tmp_path, monkeypatch):
    copy = tmp_path / "copy.net"
    copy.write_bytes(SMALL)
    with pytest.raises(ValueError, match=r"copy.net is not the authors' file"):
        authors.find(copy)
    with pytest.raises(ValueError, match=r"copy.net holds no weights: .* is not the authors' file.* download"):
        models.SqueezeNet(weights=copy)
    monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: (_ for _ in ()).throw(Exception("no route")))
    with pytest.raises(FileNotFoundError, match=r"\(no route\). Download https.* to .*none.net or ~/.keras/models"):
        authors.find(tmp_path / "none.net")
