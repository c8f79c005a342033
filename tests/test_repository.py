"""Facts that live in two files agree; README.md keeps its word: its snippets print what it says, its links lead on."""

import json
import os
import re
import shutil
import subprocess
import warnings

import numpy as np
import pytest
import yaml
from dvc.utils.hydra import apply_overrides

import squeezenet
from replication import paths, quiet, records
from replication.dataset.splits import Dataset
from replication.params import read
from replication.train.recipe import Train

README = (paths.ROOT / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", README, re.DOTALL)


def pins(text):
    return set(re.findall(r"^([a-z0-9.-]+==[^ \\]+)", re.sub(r"\[.*?\]", "", text), re.MULTILINE))


def test_there_is_one_version():
    assert yaml.safe_load((paths.ROOT / "CITATION.cff").read_text())["version"] == squeezenet.__version__
    assert f"version = {{{squeezenet.__version__}}}" in README


def test_lock_files_name_no_host():
    assert not any("://" in path.read_text() for path in paths.ROOT.glob("requirements*.lock"))


def test_jax_gets_the_pins_of_the_lock_file():
    """What both files pin they pin alike: JAX is installed beside TensorFlow."""
    common, jax = (pins((paths.ROOT / f"requirements{kind}.lock").read_text()) for kind in ("", "-jax"))
    names = {pin.partition("==")[0] for pin in common}
    assert {pin for pin in jax if pin.partition("==")[0] in names} <= common and any("jaxlib==" in pin for pin in jax)


def test_recipe_as_printed_is_one_that_params_allow(tmp_path):
    """The command of docs/imagenet.md: 512 images to an update, the paper's solver."""
    text, path = (paths.ROOT / "docs/imagenet.md").read_text(), tmp_path / "params.yaml"
    (command,) = re.findall(r"dvc exp run train@squeezenet.*?```", text, re.DOTALL)
    shutil.copy(paths.PARAMS, path)
    apply_overrides(path, re.findall(r"-S (\S+=\S+)", command))
    made, data = read("train", Train, path), read("dataset", Dataset, path)
    assert (made.batch_size * made.accumulate, data.folder.side, made.crop, made.shift) == (512, 256, 227, 15)
    assert (made.learning_rate, made.momentum, made.weight_decay, made.initializer) == (0.04, 0.9, 2e-4, "xavier")
    assert not (made.warmup or made.clip_norm or made.nesterov or made.centralise or made.standardise or made.mirror)


def test_make_quick_asks_for_keys_that_params_have(tmp_path):
    shutil.copy(paths.PARAMS, tmp_path / "params.yaml")
    command = ["make", "-s", "--eval", "small: ; @echo '$(SMALL)'", "small"]
    small = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=True)
    apply_overrides(tmp_path / "params.yaml", small.stdout.split())
    assert read("dataset", Dataset, tmp_path / "params.yaml").limit == 3000


def test_a_commit_that_git_does_not_tell_is_none_with_its_reason(tmp_path, monkeypatch):
    assert re.fullmatch("[0-9a-f]{40}(-dirty)?", records.commit())
    for folder in (tmp_path, paths.ROOT / "src"):  # a ZIP unpacked within another repository
        monkeypatch.setattr(paths, "ROOT", folder)
        with pytest.warns(UserWarning, match="the commit is not recorded. Git says: fatal: not a git repository"):
            assert records.commit() is None


def test_quiet_lets_nothing_through_but_errors(capfd):
    with pytest.raises(OSError, match="an error"), quiet():
        print("a line")
        os.write(2, b"a line of TensorFlow's")
        warnings.warn("a warning", stacklevel=1)
        raise OSError("an error")
    assert capfd.readouterr() == ("", "")
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


# README.md


def test_the_readme_expects_the_row_of_make_train():
    row = json.loads((paths.EVIDENCE / "photographs/squeezenet-0.json").read_text())
    assert f"{row['accuracy']:.0%} of {row['test_images']:,} test photographs" in README


@pytest.mark.parametrize("code, printed", SNIPPETS)
def test_snippet_prints_what_stands_below_it(code, printed, capsys):
    exec(code, {})
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("document", ["docs/networks.md", "docs/deep_compression.md"])
def test_code_in_the_docs_runs(document, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"images": np.zeros((2, 32, 32, 3)), "model": squeezenet.SqueezeNet(weights="cifar10")}
    for code in re.findall(r"```python\n(.*?)```", (paths.ROOT / document).read_text(), re.DOTALL):
        exec(code, given)


@pytest.mark.parametrize(
    "document",
    [f"{p.relative_to(paths.ROOT)}" for kind in ("", "docs/", "reports/") for p in paths.ROOT.glob(f"{kind}*.md")],
)
def test_links_lead_somewhere(document):
    path = paths.ROOT / document
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text()):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = path.parent / file if file else path
        assert target.exists(), link
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in [title.lower().replace(" ", "-") for title in titles], link


def test_the_readme_can_be_read_in_a_few_minutes_and_every_snippet_says_what_it_prints():
    assert len(re.findall(r"\S*\w\S*", README)) <= 1300
    assert README.count("```python") == len(SNIPPETS) > 1
