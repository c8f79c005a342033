"""torchvision's state dicts, in files that these tests write: what is in them is read, and nothing of it is run."""

import collections
import io
import os
import pickle
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from damage import zipped

from squeezenet import SqueezeNet, SqueezeNet_11, preprocess_input
from squeezenet.weights import torchvision

SIDE = (64, 64, 3)
# Copied from torchvision/models/squeezenet.py: what stands in `features`, by place.
FEATURES = {
    "1.0": "conv relu pool fire fire fire pool fire fire fire fire pool fire",
    "1.1": "conv relu pool fire fire pool fire fire pool fire fire fire fire",
}
MODELS = {"1.0": SqueezeNet, "1.1": SqueezeNet_11}


def names(version):
    """Our layers' names by theirs."""
    found, i = {"features.0": "conv1", "classifier.1": "conv10"}, 2
    for place, kind in enumerate(FEATURES[version].split()):
        if kind == "fire":
            for theirs, ours in (("squeeze", "squeeze1x1"), ("expand1x1", "expand1x1"), ("expand3x3", "expand3x3")):
                found[f"features.{place}.{theirs}"] = f"fire{i}_{ours}"
            i += 1
    return found


class Tensor:
    """An array that is pickled as PyTorch pickles a tensor."""

    def __init__(self, array, offset=0, shape=None, strides=None):
        self.array = np.ascontiguousarray(array)
        self.offset = offset
        self.shape = self.array.shape if shape is None else shape
        self.strides = tuple(n // self.array.itemsize for n in self.array.strides) if strides is None else strides

    def __reduce__(self):
        storage = SimpleNamespace(array=self.array)
        return _rebuild_tensor_v2, (storage, self.offset, self.shape, self.strides, False, collections.OrderedDict())


def _rebuild_tensor_v2(*arguments):
    """Stands for PyTorch's own, as these classes do."""


STORAGES = {"<f2": "HalfStorage", "<f4": "FloatStorage", "<f8": "DoubleStorage"}
globals().update({name: type(name, (), {"__module__": __name__}) for name in STORAGES.values()})


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        if not isinstance(value, SimpleNamespace):
            return None
        self.storages.append(value.array)
        kind = globals()[STORAGES[value.array.dtype.str]]
        return "storage", kind, str(len(self.storages) - 1), "cpu", value.array.size


def save(content, path, **files):
    """As `torch.save` does; other files replace, or join, those of the archive."""
    stream = io.BytesIO()
    pickler = Pickler(stream, 2)
    pickler.storages = []
    pickler.dump(content)
    ours, rebuild = f"c{__name__}\n".encode(), b"_rebuild_tensor_v2"
    data = stream.getvalue().replace(ours + rebuild, b"ctorch._utils\n" + rebuild).replace(ours, b"ctorch\n")
    members = {"data.pkl": data, "byteorder": b"little", "version": b"3\n"}
    members |= {f"data/{i}": array.tobytes() for i, array in enumerate(pickler.storages)}
    path.write_bytes(zipped({f"archive/{name}": data for name, data in (members | files).items()}))
    return path


def to_state_dict(network, version):
    tensors = collections.OrderedDict()
    for theirs, ours in names(version).items():
        kernel, bias = network.get_layer(ours).get_weights()
        tensors[f"{theirs}.weight"], tensors[f"{theirs}.bias"] = Tensor(kernel.transpose(3, 2, 0, 1)), Tensor(bias)
    tensors._metadata = collections.OrderedDict({"": {"version": 1}})
    return tensors


@pytest.fixture(scope="module")
def networks():
    """Networks as torchvision has them, with random weights, for its own preprocessing."""
    keras.utils.set_random_seed(0)
    found = {version: model(SIDE, 7, as_released="torchvision") for version, model in MODELS.items()}
    for network in found.values():
        network.get_layer("conv10").kernel.assign(network.get_layer("conv10").kernel * 100)  # answers that differ
    return found


@pytest.mark.parametrize("version", MODELS)
def test_answers_are_those_of_torchvisions_preprocessing(networks, tmp_path, version):
    path = save(to_state_dict(networks[version], version), tmp_path / "network.pth")
    ours = MODELS[version](SIDE, 7, weights=path, classifier_activation=None)
    theirs = keras.Model(networks[version].input, networks[version].get_layer("avgpool10").output)
    pixels = np.random.default_rng(0).integers(0, 256, (4, *SIDE))
    expected = theirs((pixels / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225))
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(ours(preprocess_input(pixels)), expected, rtol=1e-3, atol=1e-5)
    assert (
        "pad10" not in [x.name for x in ours.layers] and ours.get_layer("conv10").activation is keras.activations.relu
    )
    MODELS[version](SIDE, weights=path, include_top=False)
    wrapped = {f"module._orig_mod.{name}": tensor for name, tensor in to_state_dict(networks[version], version).items()}
    parallel = MODELS[version](SIDE, 7, weights=save(wrapped, tmp_path / "parallel.pth"), classifier_activation=None)
    np.testing.assert_array_equal(parallel.get_weights()[0], ours.get_weights()[0])


def test_strides_offsets_and_precisions(tmp_path):
    array = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    cases = [
        (Tensor(array, shape=(4, 3, 2), strides=(1, 4, 12)), array.T),
        (Tensor(array, offset=5, shape=(2, 2), strides=(4, 1)), array.ravel()[[[5, 6], [9, 10]]]),
        (Tensor(array.astype("f2")), array),
        (Tensor(array.astype("f4")), array),
    ]
    for tensor, expected in cases:
        np.testing.assert_array_equal(torchvision.state_dict(save({"a": tensor}, tmp_path / "a.pt"))["a"], expected)


class Hostile:
    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


ARRAY = np.ones((4, 4), "f4")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Hostile(os.system, "touch harm"), "system has no place in a state dict"),
        (Tensor(ARRAY, offset=1), "strides is incompatible with"),
        (Tensor(ARRAY, shape=(10**9, 10**9), strides=(0, 0)), "larger than its storage of 16 numbers"),
        (Tensor(ARRAY, strides=(-4, 1)), "strides is incompatible with"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_tensor_is_refused(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = save({"features.0.weight": content}, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=rf"a.pth cannot be read: .*{message}") as error:
        SqueezeNet(weights=path)
    assert "\n" not in str(error.value) and not (tmp_path / "harm").exists()


def test_what_is_no_state_dict_is_refused(tmp_path):
    for content in (5, {"a": 5}, {"a": [1]}, Tensor(ARRAY), {"state_dict": {"a": Tensor(ARRAY)}}):
        with pytest.raises(ValueError, match="it holds no state dict: save network"):
            torchvision.state_dict(save(content, tmp_path / "a.pth"))


def test_archives_that_torch_does_not_write(tmp_path):
    path, content = tmp_path / "a.pth", {"a": Tensor(np.zeros(10**6, "f4"))}
    cases = [
        ({"data/0": b"\0" * 8}, "larger than its storage of 2 numbers"),
        ({"data/0": b"\0" * 7}, "buffer size must be a multiple"),
        ({"byteorder": b"big"}, "its numbers are big-endian"),
        ({"again/data.pkl": b""}, "it needs one data.pkl"),
        ({"data.pkl": pickle.dumps(("storage",), 2)[:-1]}, "exhausted before"),
        ({"data.pkl": b"\x80\x02r\xff\xff\xff\xff."}, "a place in memory beyond"),
        ({"data.pkl": b"\x80\x02(X\x07\0\0\0storageX\x03\0\0\0<f4X\x01\0\0\x009K\0K\0tQ."}, "archive/data/9"),
    ]
    for change, message in cases:
        save(content, path, **change)
        with pytest.raises(ValueError, match=f"a.pth cannot be read: .*{message}"):
            SqueezeNet(weights=path)
    path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2))
    with pytest.raises(ValueError, match=r"it is not a zip file\. PyTorch before 1.6 wrote another format"):
        SqueezeNet(weights=path)


def test_names_and_shapes_of_other_networks(networks, tmp_path):
    of = {version: to_state_dict(network, version) for version, network in networks.items()}

    def refused(tensors, message, model=SqueezeNet):
        with pytest.raises(ValueError, match=message):
            model(SIDE, 7, weights=save(tensors, tmp_path / "a.pth"))

    words = "24 of its names are not those of torchvision's 1."
    refused(of["1.1"], f"{words}0: features.11.* is unexpected; give this version's file")
    refused(of["1.0"], f"{words}1", SqueezeNet_11)
    foreign = {f"features.init_block.{name}": tensor for name, tensor in of["1.0"].items()}
    refused(foreign, "classifier.1.bias is missing; .* rename them in PyTorch if another library wrote it")
    missing = of["1.0"].copy()
    del missing["features.12.expand3x3.bias"]
    refused(missing, "1 of its names .*: features.12.expand3x3.bias is missing")
    for name, array, message in (
        ("features.0.weight", np.ones((96, 1, 7, 7), "f4"), "conv1 must take three colours"),
        ("features.3.squeeze.bias", np.full(16, np.nan, "f4"), "fire2_squeeze1x1/bias has values that are not finite"),
    ):
        refused(of["1.0"] | {name: Tensor(array)}, message)


def test_files_of_pytorch_itself(tmp_path):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        tensors = {"a": torch.arange(24.0).reshape(2, 3, 4).permute(2, 0, 1), "b": torch.nn.Parameter(torch.ones(3))}
    torch.save(collections.OrderedDict(tensors), tmp_path / "a.pt")
    for name, array in torchvision.state_dict(tmp_path / "a.pt").items():
        np.testing.assert_array_equal(array, tensors[name].detach().numpy())
