"""The rules of the house: imports go down, a stage depends on what its notebook imports, names agree in five places."""

import ast
import json
import re
import subprocess
import sys

import networkx as nx
import pytest
import yaml

from replication import paths

SRC = paths.ROOT / "src"
PIPELINE = yaml.safe_load((paths.ROOT / "dvc.yaml").read_text())["stages"]
STAGES = sorted(set(PIPELINE) - {"code"})
# Imports go left.
LEVELS = (
    "dataset",
    "train",
    "compress",
    "authors",
    "imagenet",
    "transfer",
    "evidence",
    "advantages",
    "export",
    "report",
)
NOTEBOOKS = {path.stem: path for path in paths.NOTEBOOKS.glob("*.ipynb")}


def statements(node):
    """What runs when a module is imported: all but the bodies of functions, where optional packages are imported."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
            yield from statements(child)


def imported(code, walk=statements):
    """The files of src that Python code imports, with the packages that they lie in."""
    names = set()
    for node in walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    prefixes = {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2)}
    files = {SRC / f"{name.replace('.', '/')}{end}" for name in prefixes for end in (".py", "/__init__.py")}
    return {path for path in files if path.is_file()}


def graph():
    """An arrow from each file of src to the files that it imports."""
    arrows = nx.DiGraph()
    for path in SRC.rglob("*.py"):
        arrows.add_node(path)
        arrows.add_edges_from((path, other) for other in imported(path.read_text()) - {path})
    return arrows


FOLDERS = {  # what code of a stage says -> files that are no code, which it then reads
    '"templates"': "src/replication/report/templates",
    "CIFAR10 /": "src/squeezenet/weights/cifar10",
}


def notebook_code(name):
    cells = json.loads(NOTEBOOKS[name].read_text())["cells"]
    source = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    return re.sub(r"^%.*$", "", source, flags=re.MULTILINE)


def closure(name):
    """The files of src that a notebook imports, directly or not, as dvc.yaml names them."""
    arrows, direct = graph(), imported(notebook_code(name))
    files = direct.union(*(nx.descendants(arrows, path) for path in direct))
    code = [notebook_code(name), *(path.read_text() for path in files if "replication" in path.parts)]
    if any(
        re.search(r"(weights=|lambda: )\"imagenet\"", text) for text in code
    ):  # whose reader is imported when asked for
        files |= {SRC / "squeezenet/weights/released.py"}
    return {str(path.relative_to(paths.ROOT)) for path in files}


def test_there_are_no_circles():
    """A package's face may name its parts, which is no circle: it is left out."""
    arrows = graph()
    arrows.remove_nodes_from([path for path in list(arrows) if path.name == "__init__.py"])
    assert list(nx.simple_cycles(arrows)) == []


def test_functions_import_nothing_of_src_but_optional_readers():
    optional = {SRC / "squeezenet/weights/__init__.py"}
    for path in set(SRC.rglob("*.py")) - optional:
        assert imported(path.read_text(), ast.walk) == imported(path.read_text()), path


def test_the_library_imports_nothing_of_the_replication():
    for path in (SRC / "squeezenet").rglob("*.py"):
        assert not {other for other in imported(path.read_text()) if "replication" in other.parts}, path


def test_weights_know_no_model():
    for path in (SRC / "squeezenet/weights").rglob("*.py"):
        assert SRC / "squeezenet/models.py" not in imported(path.read_text()), path


def test_imports_go_down():
    up = []
    for path, other in graph().edges:
        levels = [p.relative_to(SRC).parts[1] for p in (path, other) if p.relative_to(SRC).parts[0] == "replication"]
        if len(levels) == 2 and set(levels) <= set(LEVELS) and LEVELS.index(levels[1]) > LEVELS.index(levels[0]):
            up.append((path, other))
    assert up == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_its_notebook_imports(stage):
    deps = PIPELINE[stage].get("do", PIPELINE[stage])["deps"]
    assert {dep for dep in deps if dep.endswith(".py") and dep.startswith("src/")} == closure(stage)
    assert f"data/code/{stage}.py" in deps
    files = [path for path in closure(stage) if path.startswith("src/replication")]
    code = "\n".join((paths.ROOT / path).read_text() for path in files)
    assert {dep for dep in deps if dep in FOLDERS.values()} == {FOLDERS[word] for word in FOLDERS if word in code}


def params_read(code):
    """The sections of params.yaml that code reads by `params.read` or `read`."""
    return set(re.findall(r"\bread\(\s*\"(\w+)\"", code))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_parameters_that_it_reads(stage):
    entry = PIPELINE[stage].get("do", PIPELINE[stage])
    read = params_read(notebook_code(stage))
    for path in closure(stage):
        read |= params_read((paths.ROOT / path).read_text())
    if "variant_of" not in notebook_code(stage):
        read -= {"variants", "train"} - params_read(notebook_code(stage))
    assert read <= {name.split(".")[0] for name in entry["params"]}


def test_one_name_in_five_places():
    assert set(NOTEBOOKS) == set(STAGES)
    sections = yaml.safe_load(paths.PARAMS.read_text())
    for stage in STAGES:
        if stage != "report":
            assert stage in sections, stage
        outs = str(PIPELINE[stage].get("do", PIPELINE[stage])["outs"])
        assert stage == "report" or f"data/{stage}" in outs
        assert (SRC / "replication" / stage).is_dir()


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS))
def test_stages_pass_parameters_that_the_notebook_has(notebook):
    """Papermill only warns of an unknown -p."""
    cells = json.loads(NOTEBOOKS[notebook].read_text())["cells"]
    (cell,) = [c for c in cells if "parameters" in c.get("metadata", {}).get("tags", [])]
    lines = "".join(cell["source"]).splitlines()
    assert all(re.fullmatch(r"\w+: \w+ = \S+  # .+", line) for line in lines), "name: type = literal  # comment"
    known = {line.partition(":")[0] for line in lines}
    commands = [stage.get("do", stage)["cmd"] for stage in PIPELINE.values()]
    for command in (c.partition("{run}")[2] for c in commands if f"notebooks/{notebook}.ipynb" in c):
        assert set(re.findall(r" -p (\w+)", command)) <= known


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS))
def test_the_first_cell_says_what_a_notebook_does(notebook):
    story = "".join(json.loads(NOTEBOOKS[notebook].read_text())["cells"][0]["source"])
    assert all(f"\n* {what}: " in story for what in ("reproduces", "reads", "writes"))


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS))
def test_a_notebook_tells_and_src_computes(notebook):
    for cell in json.loads(NOTEBOOKS[notebook].read_text())["cells"]:
        if cell["cell_type"] == "code":
            lines = [line for line in cell["source"] if line.strip() and not re.match(r"from|import|%", line)]
            assert len(lines) <= 15, "".join(lines[:3])


def test_committed_results_are_those_of_the_committed_code():
    status = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--dry", "--allow-missing"],
        cwd=paths.ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Running stage" not in status.stdout, status.stdout
