"""The rules of the house: how large it may be, imports go down, a stage depends on what its result depends on."""

import ast
import functools
import re
import subprocess
import sys

import nbformat
import networkx as nx
import pytest
import yaml
from nbconvert import PythonExporter

from replication import paths
from replication.dataset import splits

SRC = paths.ROOT / "src"
PIPELINE = yaml.safe_load((paths.ROOT / "dvc.yaml").read_text())["stages"]
STAGES = sorted(set(PIPELINE) - {"code"})
# Imports go left.
LEVELS = ("dataset", "train", "compress", "imagenet", "authors", "transfer", "advantages", "export", "report")
NOTEBOOKS = {path.stem: path for path in paths.NOTEBOOKS.glob("*.ipynb")}


def imported(code):
    """The files of src that Python code imports, with the packages that they lie in."""
    names = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    prefixes = {".".join(name.split(".")[:n]) for name in names for n in range(1, name.count(".") + 2)}
    files = {SRC / f"{name.replace('.', '/')}{end}" for name in prefixes for end in (".py", "/__init__.py")}
    return {path for path in files if path.is_file()}


@functools.cache
def graph():
    """An arrow from each file of src to the files that it imports."""
    arrows = nx.DiGraph()
    for path in SRC.rglob("*.py"):
        arrows.add_node(path)
        arrows.add_edges_from((path, other) for other in imported(path.read_text()) - {path})
    return arrows


@functools.cache
def cells(notebook, kind):
    """The cells of a notebook that are code, or Markdown."""
    found = nbformat.read(NOTEBOOKS[notebook], as_version=4).cells
    return [cell for cell in found if cell.cell_type == kind]


def notebook_code(name):
    return "\n".join(cell.source for cell in cells(name, "code"))


def entry(stage):
    return PIPELINE[stage].get("do", PIPELINE[stage])


@functools.cache
def closure(name):
    """The files of src that a notebook imports, directly or not.

    The readers of weights, which every network imports in case it is given a file, are left out: a stage that reads
    weights depends on their folder, or on the one that its own part imports.
    """
    arrows, direct = graph().copy(), imported(notebook_code(name))
    faces = {SRC / "squeezenet" / face for face in ("__init__.py", "models.py", "weights/__init__.py")}
    arrows.remove_edges_from([(a, b) for a, b in arrows.edges if a in faces and b.parent.name == "weights"])
    return direct.union(*(nx.descendants(arrows, path) for path in direct))


DEPS = {stage: [paths.ROOT / dep for dep in entry(stage)["deps"]] for stage in PIPELINE}


# What these say decides no result: where files lie, whether values are valid, which training is asked for.
NO_RESULT = {SRC / "replication" / name for name in ("params.py", "paths.py", "train/runs.py")}


def test_there_are_no_cycles():
    """`__init__.py` may import its package's parts: it is left out."""
    arrows = graph().copy()
    arrows.remove_nodes_from([path for path in list(arrows) if path.name == "__init__.py"])
    assert list(nx.simple_cycles(arrows)) == []


def level(path):
    """The library's weights, which know no model, then the library, then the parts of the replication."""
    package, part, *_ = path.parts
    if path.name == "__init__.py":  # it may import its package's parts
        return None
    if package == "squeezenet":
        return -2 if part == "weights" else -1
    return LEVELS.index(part) if part in LEVELS else None


def test_imports_go_down():
    edges = [(path.relative_to(SRC), other.relative_to(SRC)) for path, other in graph().edges]
    up = [edge for edge in edges if None not in map(level, edge) and level(edge[1]) > level(edge[0])]
    assert up == [edge for edge in edges if [path.parts[0] for path in edge] == ["squeezenet", "replication"]] == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_what_its_result_depends_on_and_on_no_other_code(stage):
    decides = {path for path in closure(stage) - NO_RESULT if path.name != "__init__.py"}
    missing = {path for path in decides if not any(path.is_relative_to(dep) for dep in DEPS[stage])}
    assert missing == set() and paths.DATA / f"code/{stage}.py" in DEPS[stage]
    assert stage in NOTEBOOKS and (SRC / "replication" / stage).is_dir()  # one name in all places
    code = [dep for dep in DEPS[stage] if SRC in dep.parents]
    assert [dep for dep in code if not any(path.is_relative_to(dep) for path in closure(stage))] == []


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS))
def test_prose_and_saved_outputs_are_no_code(notebook):
    """As JupyterLab leaves a notebook after Run All, with a changed paragraph, and as stage `code` reads it."""
    assert "--TemplateExporter.exclude_markdown=True" in entry("code")["cmd"] and "--no-prompt" in entry("code")["cmd"]
    exporter = PythonExporter(exclude_markdown=True, exclude_input_prompt=True)
    opened = nbformat.read(NOTEBOOKS[notebook], as_version=4)
    before, _ = exporter.from_notebook_node(opened)
    opened.metadata["language_info"] = {"name": "python", "file_extension": ".py", "version": "3.12.1"}
    for cell in opened.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = 7, [nbformat.v4.new_output("stream", text="hello")]
        else:
            cell.source += " A new sentence."
    assert exporter.from_notebook_node(opened)[0] == before
    opened.cells[-1 if opened.cells[-1].cell_type == "code" else -2].source += "\nprint(1)"
    assert exporter.from_notebook_node(opened)[0] != before


def params_read(code):
    """The sections of params.yaml that code reads by `params.read` or `read`."""
    return set(re.findall(r"\bread\(\s*\"(\w+)\"", code))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_parameters_that_it_reads(stage):
    code = notebook_code(stage)
    read = params_read(code).union(*(params_read(path.read_text()) for path in closure(stage) - NO_RESULT))
    if not re.search(r"variant_of|runs\.training\(", code):
        read -= {"variants", "train"} - params_read(code)
    assert read <= {name.split(".")[0] for name in entry(stage)["params"]}
    assert {f"{name}.variants.${{key}}" for name in read & {"compress", "advantages"}} <= set(entry(stage)["params"])
    keys = {name.removeprefix("dataset.") for name in entry(stage)["params"] if name.startswith("dataset.")}
    idle = {"dataset": {"limit"}, "transfer": {"limit", "source"}}.get(stage, {"source"})
    assert not keys or {*splits.Dataset.model_fields} - keys == idle


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS))
def test_stages_pass_parameters_that_the_notebook_has(notebook):
    """Papermill only warns of an unknown -p."""
    (cell,) = [cell for cell in cells(notebook, "code") if "parameters" in cell.metadata.get("tags", [])]
    lines = cell.source.splitlines()
    assert all(re.fullmatch(r"\w+: \w+ = \S+  # .+", line) for line in lines), "name: type = literal  # comment"
    for command in (entry(stage)["cmd"].partition("{run}")[2] for stage in PIPELINE):
        if f"notebooks/{notebook}.ipynb" in command:
            assert set(re.findall(r" -p (\w+)", command)) <= {line.partition(":")[0] for line in lines}


@pytest.mark.parametrize("notebook", sorted(NOTEBOOKS))
def test_a_notebook_tells_and_src_computes(notebook):
    """Its first cell says what it does; `replication`, imported before Keras, keeps TensorFlow's messages out of it."""
    assert all(f"\n* {what}: " in cells(notebook, "markdown")[0].source for what in ("reproduces", "reads", "writes"))
    imports = re.search(r"^(?:import|from) (keras|tensorflow|squeezenet|replication)\b", notebook_code(notebook), re.M)
    assert imports[1] == "replication"
    assert nbformat.read(NOTEBOOKS[notebook], as_version=4).metadata.kernelspec.name == "python3"
    for cell in cells(notebook, "code"):
        lines = [line for line in cell.source.splitlines() if line and not re.match(r"from|import", line)]
        assert len(lines) <= 15, lines[0]


def test_a_fresh_clone_says_what_is_not_there_and_has_nothing_left_to_run(tmp_path):
    subprocess.run(["git", "clone", "-q", paths.ROOT, tmp_path / "clone"], check=True)
    status, planned = (
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=tmp_path / "clone", capture_output=True, text=True)
        for command in (["status"], ["repro", "--dry", "--allow-missing"])
    )
    assert status.returncode == 0 and "train@squeezenet:" in status.stdout, status.stdout + status.stderr
    assert planned.returncode == 0 and "Running stage" not in planned.stdout, planned.stdout + planned.stderr


def lines(path):
    return len(path.read_text().splitlines())


CODE = ("*.py", "*.j2", "*.md", "*.css")
EXCEPTIONS = {  # files outside the limits -> their own limit, and what they give a user beyond the paper
    "squeezenet/weights/sqnt.py": (293, "compressed networks in files that are safe to open"),
    "squeezenet/weights/authors.py": (126, "the authors' compressed file"),
    "squeezenet/weights/torchvision.py": (105, "torchvision's .pth files, without PyTorch"),
    "squeezenet/deep_compression/quantisation.py": (245, "a file of as many bytes as one asks for"),
    "replication/dataset/folders.py": (199, "ImageNet, or a folder of one's own, as data set"),
    "replication/transfer/fine_tuning.py": (147, "a network for one's own classes"),
    "replication/transfer/__main__.py": (88, "the same from the command line"),
    "replication/export/formats.py": (120, "SavedModel, ONNX and LiteRT"),
    "replication/export/networks.py": (125, "which networks are exported, measured on which images"),
    "replication/train/devices.py": (86, "training on several devices and machines"),
    "replication/train/resident.py": (40, "training on an accelerator at its own speed"),
}
LIMITS = {  # lines at most: a measure of notions, not of characters
    "the library": (2000, "src/squeezenet/**/*.py"),
    "its networks": (300, "src/squeezenet/models.py"),
    "both packages": (6000, *(f"src/**/{end}" for end in CODE)),
    "benchmarks": (600, "benchmarks/**/*.py"),
    "tests": (6000, "tests/**/*.py"),
    "the pipeline": (300, "dvc.yaml"),
}


def test_the_house_stays_small():
    for what, (limit, *patterns) in LIMITS.items():
        files = {path for pattern in patterns for path in paths.ROOT.glob(pattern)}
        assert 0 < sum(map(lines, files - {SRC / name for name in EXCEPTIONS})) <= limit, what
    assert all(lines(SRC / name) <= most for name, (most, _) in EXCEPTIONS.items())
    assert sum(len(notebook_code(name).splitlines()) for name in NOTEBOOKS) <= 900


def test_modules_and_functions_are_short():
    long = []
    for path in (path for folder in ("src", "benchmarks") for path in (paths.ROOT / folder).rglob("*.py")):
        code = path.read_text()
        long += [(path.name, len(code.splitlines()))] * (len(code.splitlines()) > 330)
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[ast.get_docstring(node) is not None :] or node.body
                length = body[-1].end_lineno - body[0].lineno + 1
                long += [(f"{path.name}: {node.name}", length)] * (length > 50)
    assert long == []
