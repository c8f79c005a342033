"""`python -m squeezenet.deep_compression`: there, back, and a look inside; what goes wrong is one line."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest
from test_deep_compression import other

from replication import paths
from squeezenet import deep_compression
from squeezenet.deep_compression.__main__ import main
from squeezenet.weights import sqnt, tensors


@pytest.fixture(scope="module")
def network():
    return other()


@pytest.fixture
def saved(network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network.save("network.keras")
    return tmp_path


def run(*arguments):
    main(list(map(str, arguments)))


def refused(capsys, code, *arguments):
    """The line of an error."""
    with pytest.raises(SystemExit) as error:
        run(*arguments)
    if code == 2:
        assert error.value.code == 2
        return capsys.readouterr().err.splitlines()[-1]
    assert isinstance(error.value.code, str) and "\n" not in error.value.code
    return error.value.code


def test_there_and_back_by_the_command(network, saved):
    environment = os.environ | {"PYTHONPATH": str(paths.ROOT / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    arguments = ["network.keras", "--quality", "0.5", "--bits", "4", "--huffman", "-o", "network.sqnt"]
    command = [sys.executable, "-m", "squeezenet.deep_compression", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "bytes, where 68,794 weights of float32 take 275,176" in done.stdout
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("warning: ")]
    assert re.match(r"warning: pruning removed [234]\d.\d% of the weights, and nothing was", warning)
    run("network.sqnt", "-o", "again.keras")
    values = deep_compression.prune_network(tensors(network), quality=0.5)
    again = keras.models.load_model("again.keras")
    np.testing.assert_equal(tensors(again), deep_compression.share_network(values, 4))
    assert (saved / "network.sqnt").read_bytes()[5] == sqnt.CODERS.index("huffman")
    assert sorted(path.name for path in saved.iterdir()) == ["again.keras", "network.keras", "network.sqnt"]


@pytest.mark.filterwarnings("ignore:pruning removed")
def test_a_budget_is_kept_with_the_least_loss(network, saved):
    errors = []
    for budget in (60_000, 30_000, 15_000):
        run("network.keras", "--bytes", budget, "--quality", 0.1, "--bits", 8, "-o", "network.sqnt")
        assert 0.98 * budget < (saved / "network.sqnt").stat().st_size <= budget
        after, before = tensors(deep_compression.load("network.sqnt")), tensors(network)
        pruned = deep_compression.prune_network(before, quality=0.1)
        errors.append(sum(float(np.square(after[name] - pruned[name]).sum()) for name in before))
        assert all((after[name] == pruned[name]).all() for name in before if before[name].ndim == 1)
        assert all((after[name][pruned[name] == 0] == 0).all() for name in before)
    assert 0 < errors[0] < errors[1] / 4 < errors[2] / 16
    run("network.keras", "--bytes", 10**6, "--bits", 5, "-o", "roomy.sqnt")
    run("network.keras", "--bits", 5, "-o", "shared.sqnt")
    assert (saved / "roomy.sqnt").read_bytes() == (saved / "shared.sqnt").read_bytes()
    run("network.keras", "-o", "exact.sqnt")  # without options nothing is lost
    assert all((tensor == before[name]).all() for name, tensor in tensors(deep_compression.load("exact.sqnt")).items())


def test_inspect_accounts_for_every_byte(network, saved, capsys):
    table = deep_compression.compress(network, "network.sqnt", bits=4).sizes
    run("--inspect", "network.sqnt")
    out = capsys.readouterr().out
    assert f"network.sqnt: {sum(table.values()):,} bytes" in out
    rows = {
        cells[0]: cells[1:] for cells in ([c.strip() for c in row.strip("│").split("│")] for row in out.splitlines())
    }
    for section, size in table.items():
        assert rows[section][0] == f"{size:,}"
    assert rows["second/kernel"][:4] == ["3 x 3 x 16 x 32", "4,608", "4,608", "15"]
    alone = {name: int(rows[name][4].replace(",", "")) for name in tensors(network)}
    assert sum(alone.values()) == pytest.approx(sum(table.values()) - table["header"], rel=0.2)
    assert 3 < float(rows["second/kernel"][5]) < 4.5


def test_wrong_usage_is_a_line_and_2(saved, capsys):
    for arguments, message in (
        (["network.keras"], "give -o, the file to write"),
        (["network.keras", "-o", "b.keras"], "from .keras to .sqnt or back; received network.keras and b.keras"),
        (["network.sqnt", "-o", "b.keras", "--bits", "6"], "--quality, --bits, --bytes and --huffman are for a .keras"),
        (["--inspect", "network.sqnt", "--huffman"], "--inspect takes a .sqnt file and nothing else"),
        (["network.keras", "-o", "b.sqnt", "--bits", "six"], "argument --bits: invalid int value: 'six'"),
        (["network.keras", "-o", "nowhere/b.sqnt"], "nowhere is not a folder"),
    ):
        assert message in refused(capsys, 2, *arguments)
    assert [path.name for path in saved.iterdir()] == ["network.keras"]


def test_failure_is_a_line_and_leaves_nothing(saved, capsys, monkeypatch):
    (saved / "damaged.keras").write_bytes((saved / "network.keras").read_bytes()[:5000])
    (saved / "damaged.sqnt").write_bytes(b"SqNt\x01")
    code = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x + 1)])
    code.save("code.keras")
    (saved / "there.sqnt").write_text("as it was")
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    for arguments, message in (
        (["missing.keras", "-o", "b.sqnt"], "missing.keras: File not found"),
        (["damaged.keras", "-o", "there.sqnt"], "damaged.keras: "),
        (["damaged.sqnt", "-o", "b.keras"], "damaged.sqnt: damaged network file: unpack_from requires"),
        (["--inspect", "there.sqnt"], "there.sqnt: it is text that begins with 'as it was'. "),
        (["code.keras", "-o", "there.sqnt"], "lambda"),
        (["network.keras", "-o", "there.sqnt", "--bits", "0"], "bits must be an integer from 1 to 12. Received: 0"),
        (["network.keras", "-o", "there.sqnt", "--quality", "nan"], "quality must be at least 0 and finite."),
        (["network.keras", "-o", "there.sqnt", "--bytes", "3000"], "network.keras: no file of 3,000 bytes"),
    ):
        assert message in refused(capsys, 1, *arguments)
    monkeypatch.setattr(sqnt, "encode", lambda *_: 1 / 0)
    assert "division" in refused(capsys, 1, "network.keras", "-o", "there.sqnt")
    assert before == {path.name: path.read_bytes() for path in saved.iterdir()}
