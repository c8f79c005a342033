"""The authors' file against the paper's Table 1, and our file for it; another file is refused."""

import json
from pathlib import Path
from unittest.mock import Mock

import keras
import pandas as pd
import pytest

from replication.authors import compressed
from squeezenet import SqueezeNet
from squeezenet.weights import authors

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
COPY = next((p for f in (ROOT / "data/external", SHARED / "weights") if (p := f / authors.NAME).exists()), None)
needs_file = pytest.mark.skipif(COPY is None, reason="the authors' file is neither in data/external nor ../shared")


@pytest.fixture(scope="module")
def decoded():
    tensors, layers = authors.decode(COPY.read_bytes())
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
def test_what_the_report_has_of_the_file_is_in_it():
    data, told = COPY.read_bytes(), json.loads((ROOT / "data/evidence/authors.json").read_text())["decoded"]
    assert compressed.decoded(data) == told and sum(authors.byte_table(data).values()) == len(data) == 675_763


def test_a_wrong_or_missing_copy_is_a_clear_error(tmp_path, monkeypatch):
    copy = tmp_path / "copy.net"
    copy.write_bytes(b"another\0")
    with pytest.raises(ValueError, match=r"copy.net is not the authors' file"):
        authors.find(copy)
    with pytest.raises(ValueError, match=r"copy.net cannot be read: .* is not the authors' file.* download"):
        SqueezeNet(weights=copy)
    monkeypatch.setattr(keras.utils, "get_file", Mock(side_effect=Exception("no route")))
    with pytest.raises(FileNotFoundError, match=r"\(no route\). Download https.* to .*none.net, or give its path"):
        authors.find(tmp_path / "none.net")
