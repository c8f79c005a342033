"""The benchmarks: whole rows or none, what is measured is left alone, the page is that of the committed rows."""

import importlib.util
import inspect
import os
import shutil
import subprocess
import sys

import pytest

from benchmarks import common, communication, page, recipes
from replication import params, paths
from replication.train.recipe import Train

CELLS = [{"network": "a"}, {"network": "b"}, {"network": "c"}]


def test_a_failure_leaves_whole_rows_and_the_next_run_measures_the_rest(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "BENCH", tmp_path)

    def fails(network):
        if network == "b":
            raise RuntimeError("killed")
        return {"ms": [1.0]}

    with pytest.raises(RuntimeError, match="killed"):
        common.fill("topic", CELLS, fails)
    assert [row["network"] for row in common.load("topic")] == ["a"]
    common.fill("topic", CELLS, lambda network: {"ms": [2.0]})
    assert [row["ms"] for row in common.load("topic")] == [[1.0], [2.0], [2.0]]
    assert all({"commit", "versions", "hardware"} <= set(row) for row in common.load("topic"))


def test_the_page_is_that_of_the_committed_rows():
    text = (paths.ROOT / "docs/benchmarks.md").read_text()
    assert page.renew(text) == text
    reached = {(r["epochs"], r["seed"]): r["val_accuracy"][-1] for r in common.load("recipes") if r["recipe"] == "ours"}
    assert all(100 * reached[n, seed] >= least for least, n in recipes.OURS.items() for seed in recipes.SEEDS)


def test_other_recipes_are_valid_sections_train():
    for changes in recipes.OTHERS.values():
        Train.model_validate(params.read("train", dict) | changes)


SAME = """
from benchmarks import pytorch, speed
from replication.train import recipe
from squeezenet import models

for side, (names, _) in speed.NETWORKS.items():
    for name in names:
        options, _ = recipe.variant_of(name)
        theirs = sum(each.numel() for each in pytorch.create(side=side, classes=10, **options).parameters())
        assert theirs == models.create(input_shape=(side, side, 3), nb_classes=10, **options).count_params(), name
"""


@pytest.mark.skipif(not importlib.util.find_spec("torchvision"), reason="`make torch` adds PyTorch")
def test_the_networks_in_pytorch_have_the_same_parameters():
    """In a process of its own, as torchvision crashes once TensorFlow is imported."""
    environment = os.environ | {"KERAS_BACKEND": "torch"}
    subprocess.run([sys.executable, "-c", SAME], cwd=paths.ROOT, env=environment, check=True)


SEND = f"""
import socket, threading, psutil
{inspect.getsource(communication.loopback)}
server = socket.create_server(("127.0.0.1", 0))
before, counts = loopback(), []
for _ in range(3):
    start = loopback()
    sending = threading.Thread(target=lambda: socket.create_connection(server.getsockname()).sendall(bytes(10**7)))
    sending.start()
    connection, received = server.accept()[0], 0
    while received < 10**7:
        received += len(connection.recv(2**16))
    counts.append(loopback() - start)
print(before, min(counts))  # a busy machine sends some segments again
"""


def test_the_system_counts_what_crosses_and_nothing_else(capfd):
    probe = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--net", "true"]
    if not all(map(shutil.which, ("unshare", "ip"))) or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    communication.isolated(sys.executable, "-c", SEND)
    before, sent = map(int, capfd.readouterr().out.split()[-2:])
    assert before == 0 and 1e7 < sent < 1.02e7
