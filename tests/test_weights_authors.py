"""The authors' file is what the evidence has of it; another file is refused."""

import json
from pathlib import Path

import pytest

from replication.authors import compressed
from squeezenet import SqueezeNet
from squeezenet.weights import authors

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
COPY = next((p for f in (ROOT / "data/external", SHARED / "weights") if (p := f / authors.NAME).exists()), None)
needs_file = pytest.mark.skipif(COPY is None, reason="the authors' file is neither in data/external nor ../shared")


@needs_file
def test_what_the_report_has_of_the_file_is_in_it():
    data, told = COPY.read_bytes(), json.loads((ROOT / "data/evidence/authors.json").read_text())["decoded"]
    assert compressed.decoded(data) == told and sum(authors.byte_table(data).values()) == len(data) == 675_763


def test_a_wrong_copy_is_a_clear_error(tmp_path):
    copy = tmp_path / "copy.net"
    copy.write_bytes(b"another\0")
    with pytest.raises(ValueError, match=r"copy.net is not the authors' file"):
        authors.find(copy)
    with pytest.raises(ValueError, match=r"copy.net cannot be read: .* is not the authors' file.* download"):
        SqueezeNet(weights=copy)
