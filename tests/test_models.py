"""Exact parameters and graphs: shape tests alone do not see a bypass in the wrong place."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from replication import paths
from replication.train import devices
from squeezenet import AlexNet, SqueezeNet, SqueezeNet_11, costs, initial, models
from squeezenet.models import create


def neighbours(model, name):
    """Names of the layers whose outputs a layer receives, in order."""
    return [tensor._keras_history.operation.name for tensor in model.get_layer(name).input]


def additions(model):
    return [layer.name for layer in model.layers if isinstance(layer, keras.layers.Add)]


def sizes(model, *names):
    return [model.get_layer(name).output.shape[1] for name in names]


def test_parameters():
    networks = [SqueezeNet_11((224, 224, 3), 1000, None, 1.0), AlexNet(), SqueezeNet(squeeze_ratio=0.75)]
    networks += [SqueezeNet(squeeze_ratio=0.5, pct3x3=0.01), SqueezeNet((32, 32, 3), 10, compression=0.5)]
    networks.append(SqueezeNet((64, 64, 3), 10, base_e=32, incr_e=16, freq=4, pct3x3=0.75))  # Section 5.1
    counts = [1_235_496, 60_965_224, 4_841_704, 1_478_248, 184_938, 28_530]
    assert [each.count_params() for each in networks] == counts


def test_the_network_is_built_as_table_1_and_figure_2_print():
    network = SqueezeNet((227, 227, 3))
    table = pd.read_csv(paths.PAPER / "table1.csv", dtype=str, keep_default_na=False)
    for row in table.iloc[1:-1].itertuples():
        layer = network.get_layer(row.layer)
        parts = [each for each in network.layers if each.name.startswith(f"{row.layer}_") and each.count_params()]
        assert [str(part.filters) for part in parts] == [row.squeeze1x1, row.expand1x1, row.expand3x3][: len(parts)]
        assert int(row.depth) == len({part.input.name for part in parts}) + isinstance(layer, keras.layers.Conv2D)
        assert str(layer.output.shape[-1]) == row.output.split("x")[-1]  # Figure 2's labels
        if row.filter and row.layer != "avgpool10":
            side = (layer.pool_size if row.layer.startswith("maxpool") else layer.kernel_size)[0]
            assert row.filter.split(" ")[0] == f"{side}x{side}/{layer.strides[0]}"
    assert (network.get_layer("conv1").kernel_size, network.get_layer("drop9").rate) == ((7, 7), 0.5)
    found = [x for of in (SqueezeNet, AlexNet) for r in (0.3, None) for x in of((64, 64, 3), 10, dropout_rate=r).layers]
    assert [(x.name, x.rate) for x in found if hasattr(x, "rate")] == [("drop9", 0.3), ("drop6", 0.3), ("drop7", 0.3)]
    assert {weight.dtype for weight in network.weights} == {"float32"}  # Table 2's 32 bits


def test_macs_at_227():
    networks = SqueezeNet((227, 227, 3)), SqueezeNet_11((227, 227, 3)), AlexNet((227, 227, 3))
    padded = SqueezeNet((227, 227, 3), as_released=True)
    assert [costs.macs(n) for n in networks[1:]] == [387_747_520, 724_406_816]
    assert costs.macs(keras.Sequential([padded])) == costs.macs(padded) == 861_339_936  # a model within a model
    # the padding of the released conv10 alone makes the difference: 15x15 in place of 13x13 positions
    assert costs.macs(padded) - costs.macs(networks[0]) == (15**2 - 13**2) * 512 * 1000
    first = keras.layers.Conv2D(4, 3, data_format="channels_first")
    assert costs.macs(keras.Sequential([keras.Input((3, 16, 16)), first])) == 14 * 14 * 4 * 27


def test_geometry():
    """At 32 pixels the small-image stem keeps every stride of the paper."""
    own, other = ("conv1", "maxpool1", "maxpool4", "maxpool8"), ("conv1", "maxpool1", "maxpool3", "maxpool5")
    assert sizes(SqueezeNet((227, 227, 3)), *own) == sizes(SqueezeNet_11(), *other) == [111, 55, 27, 13]
    assert sizes(SqueezeNet((32, 32, 3)), *own) == sizes(SqueezeNet_11((32, 32, 3)), *other) == [16, 8, 4, 2]


def test_alexnet_is_bvlc_alexnet():
    _, *layers, _ = (network := AlexNet()).layers
    order = "conv1 norm1 maxpool1 conv2 norm2 maxpool2 conv3 conv4 conv5 maxpool5 flatten fc6 drop6 fc7 drop7 fc8"
    assert " ".join(layer.name for layer in layers) == order
    relus = [x.name for x in layers if getattr(x, "activation", None) is keras.activations.relu]
    assert relus == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]
    assert sizes(network, "conv1", "maxpool1", "maxpool2", "maxpool5") == [55, 27, 13, 6]


def test_simple_bypass_attaches_around_fire_3_5_7_9():
    assert additions(SqueezeNet()) == []
    model = SqueezeNet(use_bypass="simple")
    assert additions(model) == [f"fire{i}_bypass" for i in (3, 5, 7, 9)]
    starts = {3: "fire2", 5: "maxpool4", 7: "fire6", 9: "maxpool8"}
    for i, start in starts.items():
        assert neighbours(model, f"fire{i}_bypass") == [start, f"fire{i}"]
    assert model.get_layer("drop9").input._keras_history.operation.name == "fire9_bypass"


def test_complex_bypass_convolves_around_fire_2_4_6_8_in_addition():
    model = SqueezeNet(use_bypass="complex")
    assert additions(model) == [f"fire{i}_bypass" for i in range(2, 10)]
    for i in (2, 4, 6, 8):
        convolution = model.get_layer(f"fire{i}_bypass1x1")
        assert neighbours(model, f"fire{i}_bypass") == [convolution.name, f"fire{i}"]
        assert (convolution.kernel_size, convolution.use_bias) == ((1, 1), True)
        assert convolution.activation is keras.activations.relu
    assert neighbours(model, "fire5_bypass") == ["maxpool4", "fire5"]


ODD = [0, -1, np.nan, np.inf, None, "", "half", [], {"a": 1}]
BAD = {
    "input_shape": [(224, 224), (8, 8, 3), (None, None, None)],
    "base_e": [0, 1],
    "version": ["1.2", 1.1, "1_1", "1.0_simple"],
    "pools": ["conv1", ["fire10"], "", {}, True, 1.5, np.nan],
    "nb_classes": [0, 1],
    "use_bypass": ["both", ["simple"], "", {}, None, 1.5, np.nan],
    "dropout_rate": [1.0, "0.5", False],
    "compression": ODD,
    "squeeze_ratio": [2, *ODD],
    "pct3x3": [2, 1.0, 0.001, *ODD],
    "pooling": ["avg", "mean"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_arguments_say_what_was_received(name, value):
    with pytest.raises(ValueError, match=f"{name} must .* Received: ") as error:
        SqueezeNet(**{name: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("model", [SqueezeNet, SqueezeNet_11])
def test_pools_are_where_they_are_put(model):
    network = model((64, 64, 3), 10, pools=["fire2", "fire9"])
    pools = [layer.name for layer in network.layers if isinstance(layer, keras.layers.MaxPooling2D)]
    assert pools == ["maxpool2", "maxpool9"]
    assert network.get_layer("maxpool2").input._keras_history.operation.name.startswith(("fire2", "maxpool2_ceil"))
    assert sizes(network, "fire2", "fire9")[0] == sizes(network, "conv1")[0]


def test_classes_are_another_name_and_one_is_for_a_sigmoid():
    for model in (SqueezeNet, AlexNet):
        assert (network := model((64, 64, 3), nb_classes=7, classes=7, name="mine")).output_shape == (None, 7)
        one = model((64, 64, 3), classes=1, classifier_activation="sigmoid")
        assert one.output_shape == (None, 1) and network.name == "mine"


SIGMOID = r'for one class give classifier_activation="sigmoid". Received: 1'
ONE_LINE = [
    *((model, {"classes": 1}, SIGMOID) for model in (SqueezeNet, SqueezeNet_11, AlexNet)),
    (SqueezeNet, {"nb_classes": 1, "classifier_activation": keras.activations.softmax}, SIGMOID),
    (AlexNet, {"nb_classes": 1000, "classes": 10}, "another name of nb_classes: give one. Received: 10 and 1000"),
    (SqueezeNet, {"freq": 1, "use_bypass": True}, "use_bypass goes around fire3, which must keep the width"),
    (SqueezeNet, {"as_released": "pytorch"}, "as_released must be .* Received: 'pytorch'"),
    (SqueezeNet_11, {"use_bypass": True}, r'or "1.1" without bypass. Received: .1.1., True'),
    (SqueezeNet_11, {"nb_classes": 10, "weights": "imagenet"}, "for other classes give include_top=False. Received: "),
    (SqueezeNet, {"nb_classes": 100, "weights": "cifar10"}, '"cifar10" are for nb_classes=10; .* nb_classes=100'),
    (SqueezeNet, {"weights": "imagenet-8bit"}, 'weights="imagenet-8bit" are for squeezenet_1_1 alone'),
    (SqueezeNet, {"use_bypass": True, "weights": "imagenet"}, "are for squeezenet_1_0 and squeezenet_1_1 alone"),
    (lambda: initial.initialise(keras.Sequential([keras.layers.Dense(2, name="conv1")])), {}, "not a model around"),
    *((AlexNet, {"weights": each}, "AlexNet must be a .keras or") for each in ("imagenet", "cifar10", "a.pth", 5)),
    (AlexNet, {"input_shape": (None, None, 3)}, "fc6 needs a fixed size, or include_top=False"),
    (SqueezeNet, {"input_tensor": np.zeros((1, 64, 64, 3))}, "input_tensor must be of floats, from"),
    (SqueezeNet, {"input_tensor": keras.Input((64, 64, 3), dtype="uint8")}, "input_tensor must be of floats, from"),
    (SqueezeNet, {"input_shape": (64, 64, 3), "input_tensor": keras.Input((65, 65, 3))}, "be that of input_tensor"),
    (SqueezeNet, {"input_shape": 32}, r"input_shape must be \(height, width, channels\).* Received: \(32,\)"),
    (SqueezeNet, {"input_shape": (32, 32, 3), "pools": [f"fire{i}" for i in range(2, 10)]}, "too small for maxpool6"),
    *(
        (lambda of=of: of(SqueezeNet(include_top=False)), {}, "images of a fixed size")
        for of in (costs.macs, costs.live_activations, initial.initialise)
    ),
    (lambda: initial.initialise(keras.Sequential([keras.Input((32, 32, 3)), AlexNet((32, 32, 3))])), {}, "not a model"),
    (lambda: initial.initialise(keras.Sequential([AlexNet((32, 32, 3)), keras.layers.Dense(2)])), {}, "not a model"),
    (lambda: costs.live_activations(keras.Sequential([AlexNet()])), {}, "of layers alone: give alexnet itself"),
    (lambda: initial.initialise(SqueezeNet((32, 32, 3), 4), "zeros"), {}, "rule must be .* Received: 'zeros'"),
    *((lambda of=of: create(of, (32, 32, 3), 10), {}, "model must be one of .* Rec") for of in ("no", [], {}, None)),
]


@pytest.mark.parametrize(("call", "arguments", "message"), ONE_LINE)
def test_one_line_says_what_to_do(call, arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        call(**arguments)
    assert "\n" not in str(error.value)


def test_channels_first_is_refused(monkeypatch):
    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    for model in (SqueezeNet, SqueezeNet_11, AlexNet):
        with pytest.raises(ValueError, match=r"set_image_data_format..channels_last"):
            model()


def test_numpys_integers_are_integers(tmp_path):
    model = SqueezeNet(np.array([32, 32, 3]), np.arange(10).max() + 1)
    model.save(tmp_path / "network.keras")
    assert keras.models.load_model(tmp_path / "network.keras").output_shape == (None, 10)


def test_grouped_convolution_is_keras_own():
    ours, theirs = (layer(8, 3, groups=2, padding="same") for layer in (models.GroupedConv2D, keras.layers.Conv2D))
    x = np.random.default_rng(0).normal(size=(2, 7, 7, 6)).astype("float32")
    for layer in (ours, theirs):
        layer.build(x.shape)
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


def test_local_response_normalization_is_tensorflows():
    x = np.random.default_rng(0).normal(0, 30, (2, 5, 4, 12)).astype("float32")
    theirs = tf.nn.local_response_normalization(x, depth_radius=2, bias=1, alpha=1e-4 / 5, beta=0.75)
    np.testing.assert_allclose(models.LocalResponseNormalization()(x), theirs, rtol=1e-5)


def test_mixed_precision_keeps_scores_and_normalisation_in_float32():
    devices.set_up(1, 0, "mixed_bfloat16")
    try:
        ours, alexnet = SqueezeNet(), AlexNet()
    finally:
        devices.set_up(1, 0)
    exact = ours.get_layer("avgpool10"), ours.layers[-1], alexnet.get_layer("norm1"), alexnet.get_layer("fc8")
    assert {layer.compute_dtype for layer in exact} == {"float32"} != {ours.get_layer("conv1").compute_dtype}
