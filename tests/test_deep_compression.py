"""Pruning and SVD against their definitions; k-means against scikit-learn; files of any Keras model."""

import json

import keras
import numpy as np
import pytest
from damage import zipped
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans

from squeezenet import AlexNet, SqueezeNet, deep_compression, weights
from squeezenet.weights import keras_file, set_tensors, sqnt, tensors

ARCHITECTURE = {"model": "squeezenet", "input_shape": [32, 32, 3], "nb_classes": 10, "compression": 0.25}


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return SqueezeNet((32, 32, 3), 10, compression=0.25, dropout_rate=None)


def test_pruning_keeps_the_largest():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 8, 20)).astype(np.float32)
    pruned = deep_compression.prune(kernel, 0.33)
    assert np.count_nonzero(pruned) == round(0.33 * kernel.size)
    assert np.abs(kernel[pruned == 0]).max() <= np.abs(pruned[pruned != 0]).min()
    np.testing.assert_array_equal(pruned[pruned != 0], kernel[pruned != 0])
    np.testing.assert_array_equal(deep_compression.prune(kernel, 1), kernel)
    both = deep_compression.prune_network({"a/kernel": kernel, "b/kernel": kernel}, {"a": 0.33})
    np.testing.assert_array_equal([both["a/kernel"], both["b/kernel"]], [pruned, kernel])


LAYER, DIVERGED = {"fc/kernel": np.ones((2, 2), np.float32)}, np.float32([[1, np.nan]])
WRONG = [
    (deep_compression.factorise, (LAYER["fc/kernel"], 0), "ratio must be positive and finite. Received: 0"),
    (deep_compression.prune, (LAYER["fc/kernel"], -0.1), "kept must be a fraction from 0 to 1. Received: -0.1"),
    (deep_compression.prune_network, (LAYER, {"fc6": 0.5}), "no such layers with kernels to prune: fc6"),
    (deep_compression.prune_network, (LAYER,), "give either kept or quality"),
    (deep_compression.prune_network, (LAYER, 0.5), "kept must be a dict, layer -> fraction. Received: 0.5"),
    (deep_compression.prune_network, (LAYER, {"fc": float("nan")}), "kept must be a fraction"),
    (deep_compression.share_network, (LAYER, 0), "bits must be an integer from 1 to 12. Received: 0"),
    (sqnt.encode, (LAYER, {}, "zip"), "coder must be one of range, huffman. Received: 'zip'"),
    (deep_compression.prune, (DIVERGED, 0.5), "kernel has values that are not finite"),
    (deep_compression.prune_below, (DIVERGED, 1), "kernel has values that are not finite"),
    (deep_compression.factorise, (DIVERGED, 2), "kernel has values that are not finite"),
    (deep_compression.share, (DIVERGED, 3), "kernel has values that are not finite"),
    (deep_compression.share_network, (LAYER, {}), "bits omits fc/kernel"),
    (deep_compression.kmeans, ([], 3), "values must be finite, one-dimensional and not empty"),
    (deep_compression.share_network, (LAYER, {"fc": 2, "conv": 2}), "no such layers to share: conv"),
]


@pytest.mark.parametrize(("function", "arguments", "message"), WRONG)
def test_wrong_arguments_say_what_was_received(function, arguments, message):
    with pytest.raises(ValueError, match=message):
        function(*arguments)


def test_bits_by_prefix(network):
    values = tensors(network)
    shared = deep_compression.share_network(values, {"fire": 2, "conv": np.int64(3), "conv10": 4})
    assert len(np.unique(shared["fire2_expand3x3/kernel"])) == 3 and len(np.unique(shared["conv1/kernel"])) == 7
    assert len(np.unique(shared["conv10/kernel"])) == 15  # of two beginnings the longer
    np.testing.assert_array_equal(shared["conv1/bias"], values["conv1/bias"])
    few = np.array([[0.1, 0.11], [5, 0]])  # as many values as two bits hold
    assert (deep_compression.share(few, 2) == few).all() and not deep_compression.share(0 * few, 4).any()


def test_kmeans_is_scikit_learns():
    values = np.random.default_rng(0).beta(2, 3, 20_000)  # without tails no cluster ends up empty
    start = np.linspace(values.min(), values.max(), 31)[:, None]
    theirs = KMeans(31, init=start, n_init=1, max_iter=10_000, tol=0).fit(values[:, None])
    np.testing.assert_allclose(deep_compression.kmeans(values, 31), theirs.cluster_centers_[:, 0], atol=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=60), st.integers(1, 20))
def test_kmeans_of_anything(values, clusters):
    centroids = deep_compression.kmeans(values, clusters)
    assert 1 <= len(centroids) <= clusters and (np.diff(centroids) > 0).all()
    slack = 1e-6 * max(map(abs, values))
    assert min(values) - slack <= centroids[0] and centroids[-1] <= max(values) + slack


def test_svd_is_the_best_of_its_rank_and_as_small_as_asked():
    rng = np.random.default_rng(0)
    kernel = (rng.normal(size=(120, 7)) @ rng.normal(size=(7, 80))).astype(np.float32)
    left, right = deep_compression.factorise(kernel, ratio=6)
    assert left.shape == (120, 8) and right.shape == (8, 80)
    np.testing.assert_allclose(left @ right, kernel, atol=1e-3)


def test_factors_come_back_multiplied(tmp_path):
    factors, path = tensors(AlexNet((32, 32, 3), 10)), tmp_path / "svd.sqnt"
    left, right = deep_compression.factorise(factors.pop("fc7/kernel"), 60)
    factors |= {"fc7/kernel/left": left, "fc7/kernel/right": right}
    deep_compression.save(path, factors, {"model": "alexnet", "input_shape": [32, 32, 3], "nb_classes": 10})
    for network in (deep_compression.load(path), AlexNet((32, 32, 3), 10, weights=path)):
        np.testing.assert_allclose(tensors(network)["fc7/kernel"], left @ right, rtol=1e-6)
    factors["fc7/kernel/right"] = right[1:]
    with pytest.raises(ValueError, match="3 of these tensors are not those of"):
        set_tensors(network, factors)


def layer(kind, module="keras.layers", /, **config):
    """Keras' description of a layer."""
    return {"module": module, "class_name": kind, "config": config, "registered_name": None}


def of_layer(described):
    """Keras' description of a model of one layer."""
    model = keras.saving.serialize_keras_object(keras.Sequential([keras.Input((4,))]))
    model["config"]["layers"].append(described)
    return {"keras": model}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet"}, "not an architecture"),
        ({"compression": 0.5}, "are not those of"),
        ({"compression": 16}, "more weights than the file holds"),
        ({"input_shape": [10**9, 10**9, 3]}, "are not those of"),
        ({"input_shape": []}, "not an architecture"),
        ({"weights": "imagenet"}, "not an architecture"),
        ({"keras": 5}, "int is not a Keras model"),
        ({"keras": layer("Conv2D", filters=1, kernel_size=1) | {"build_config": {"input_shape": []}}}, "not an arch"),
        (of_layer(layer("Dense", units=2**40, name="last")), "more weights than the file holds"),
    ],
)
def test_a_file_with_a_false_architecture_is_refused(network, tmp_path, change, message):
    path = tmp_path / "network.sqnt"
    path.write_bytes(sqnt.encode(tensors(network), ARCHITECTURE | change))
    with pytest.raises(ValueError, match=message):
        deep_compression.load(path)


SYSTEM = {"class_name": "function", "config": "system", "module": "os", "registered_name": "function"}
HOSTILE = [  # layers that would run code or read a file
    keras.saving.serialize_keras_object(keras.layers.Lambda(lambda x: exec("open('harm', 'w')") or x)),
    layer("Dense", units=3, name="d", activation=SYSTEM),
    layer("Popen", "subprocess", args=["touch", "harm"]),
    layer("run", "subprocess", args=["touch", "harm"]),
    layer("StringLookup", vocabulary="/etc/passwd", name="s"),
]


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda hostile: hostile["class_name"])
def test_hostile_layers_are_not_built(hostile, tmp_path, monkeypatch):
    """Nor are they of .keras files, of which the weights are read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.sqnt").write_bytes(sqnt.encode({}, of_layer(hostile)))
    with pytest.raises(ValueError, match="not an architecture"):
        deep_compression.load("network.sqnt")
    path = tmp_path / "network.keras"
    dense(units=1).save(path)
    files = keras_file.members(path)
    config = json.loads(files["config.json"])
    config["config"]["layers"][-1] |= hostile
    path.write_bytes(zipped(files | {"config.json": json.dumps(config)}))
    assert weights.read(path).tensors and {file.name for file in tmp_path.iterdir()} == {"network.sqnt", path.name}


def other():
    """A network with normalisations, and layers without bias or kernel."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((20, 20, 3)),
            layers.Normalization(mean=[1, 2, 3], variance=[4, 4, 4]),
            layers.Conv2D(16, 5, use_bias=False, name="first"),
            layers.BatchNormalization(name="norm"),
            layers.DepthwiseConv2D(3, name="each"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="second"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax", name="last"),
        ],
        name="other",
    )


def small_networks():
    """Networks that are not ours alone: one of each kind of layer, a model in the model, two branches."""
    sequential, layers = other(), keras.layers
    x = keras.Input((None, None, 3))
    branches = [layers.Conv2D(4, size, padding="same", name=f"branch{size}")(x) for size in (1, 3)]
    inner = keras.Model(x, layers.GlobalAveragePooling2D()(layers.Concatenate()(branches)), name="inner")
    y = keras.Input((20, 24, 3))
    nested = keras.Model(y, layers.Dense(3, name="top")(inner(y)), name="nested")
    return [sequential, nested, AlexNet((32, 32, 3), 4, include_top=False, pooling="avg")]


@pytest.mark.parametrize("network", small_networks(), ids=lambda network: network.name)
def test_any_model_of_convolutions_and_dense_layers(network, tmp_path):
    path, before = tmp_path / "network.sqnt", tensors(network)
    network.compile("adam", "mse")
    with pytest.warns(UserWarning, match=r"pruning removed [234]\d.\d% of the weights, and nothing was"):
        table = deep_compression.compress(network, path, quality=0.5, bits=4).sizes
    assert sum(table.values()) == path.stat().st_size
    restored = deep_compression.load(str(path))
    assert type(restored) is type(network) and restored.name == network.name
    expected = deep_compression.share_network(deep_compression.prune_network(before, quality=0.5), 4)
    np.testing.assert_equal(tensors(restored), expected)
    np.testing.assert_equal(tensors(network), before)
    images = np.random.default_rng(0).normal(size=(2, *(side or 16 for side in network.input_shape[1:])))
    set_tensors(network, expected)
    np.testing.assert_array_equal(restored(images), network(images))
    set_tensors(network, before)


def test_without_loss_unless_asked_and_by_keywords(network, tmp_path):
    sizes = {}
    for name, architecture in {"keras": None, "keywords": ARCHITECTURE}.items():
        sizes[name] = deep_compression.compress(network, tmp_path / name, architecture=architecture).sizes["header"]
        np.testing.assert_equal(tensors(deep_compression.load(tmp_path / name)), tensors(network))
    assert sizes["keywords"] < sizes["keras"] / 2
    other = {"use_bypass": "complex", "pools": ["conv1"], "classifier_activation": None, "input_shape": [48, 48, 3]}
    for key, value in other.items():
        with pytest.raises(ValueError, match=r"are not those of|like this one"):
            deep_compression.compress(network, tmp_path / "other", architecture=ARCHITECTURE | {key: value})
    doubled = keras.layers.Rescaling(2)(keras.Input((32, 32, 3)))  # which no keyword builds again
    prepared = SqueezeNet(nb_classes=10, compression=0.25, input_tensor=doubled)
    with pytest.raises(ValueError, match="like this one"):
        deep_compression.compress(prepared, tmp_path / "other", architecture=ARCHITECTURE)


def dense(dtype="float32", scale=1.0, units=64):
    network = keras.Sequential([keras.Input((256,)), keras.layers.Dense(units, dtype=dtype, name="last")])
    kernel = np.random.default_rng(0).uniform(-1, 1, (256, units)) * scale
    network.layers[0].set_weights([kernel.astype(network.layers[0].kernel.dtype), np.zeros(units)])
    return network


@pytest.mark.parametrize("options", [{}, {"quality": 0.5}, {"bits": 6}, {"budget": 9000}], ids=str)
@pytest.mark.parametrize(("part", "name", "value"), [(0, "last/kernel", np.nan), (1, "last/bias", np.inf)])
def test_weights_that_are_not_finite_are_refused_by_name(tmp_path, options, value, part, name):
    network = dense()
    values = network.get_weights()
    values[part].flat[0] = value
    network.set_weights(values)
    with pytest.raises(ValueError, match=f"{name} has values that are not finite"):
        deep_compression.compress(network, tmp_path / "network.sqnt", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_weights_of_any_size_fit_a_budget_and_are_pruned_alike(tmp_path, scale):
    network, path = dense(scale=scale), tmp_path / "network.sqnt"
    sizes = deep_compression.compress(network, path, budget=20_000).sizes
    assert 19_000 < sum(sizes.values()) == path.stat().st_size <= 20_000
    before, after = (tensors(model)["last/kernel"].astype(float) for model in (network, deep_compression.load(path)))
    assert np.abs(after - before).max() < 0.01 * scale
    with pytest.warns(UserWarning, match="pruning removed 2[89]"):  # half a deviation of a uniform distribution
        deep_compression.compress(network, path, quality=0.5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_floating_point_type_is_kept_without_loss_and_fits_a_budget(tmp_path, dtype):
    network, path = dense(dtype, units=512), tmp_path / "network.sqnt"
    for options in ({}, {"bits": 4}, {"budget": 60_000}):
        deep_compression.compress(network, path, **options)
        restored = deep_compression.load(path)
        assert [v.dtype for v in restored.weights] == [v.dtype for v in network.weights] == [dtype, dtype]
        kernels = [tensors(model)["last/kernel"].astype(float) for model in (network, restored)]
        assert np.abs(kernels[0] - kernels[1]).max() <= {"bits": 0.08, "budget": 0.1}.get(*options or [""], 0)
    assert path.stat().st_size <= 60_000


@keras.saving.register_keras_serializable("tests")
class Scale(keras.layers.Layer):
    """As in ConvNeXt: Keras names its weights, and counts them over the process."""

    def build(self, shape):
        self.scale, self.shift = (self.add_weight(shape=shape[-1:], initializer="random_normal") for _ in range(2))

    def call(self, x):
        return x * self.scale + self.shift


def other_layers():
    """Weights that are counted, of one name, or without a name of their own."""
    layers, rng = keras.layers, np.random.default_rng(0)
    normalised = layers.Normalization(name="normal")
    normalised.adapt(rng.normal(3, 2, (50, 4)).astype("float32"))
    return {
        "counter": [keras.Sequential([normalised]), layers.Dense(3)],
        "unnamed": [Scale(), Scale()],
        "stacked": [layers.RNN([layers.LSTMCell(3), layers.LSTMCell(4)])],
        "bidirectional": [layers.Bidirectional(layers.LSTM(3, return_sequences=True)), layers.GRU(3)],
        "distributed": [layers.TimeDistributed(keras.Sequential([layers.Dense(3), layers.Dense(2)]))],
    }


@pytest.mark.parametrize("name", ["counter", "unnamed", "stacked", "bidirectional", "distributed"])
def test_weights_of_any_name_and_type_come_back(tmp_path, name):
    shape = (4,) if name in ("counter", "unnamed") else (5, 4)
    network = keras.Sequential([keras.Input(shape), *other_layers()[name]])
    other_layers()  # the names that Keras counts go on
    deep_compression.compress(network, tmp_path / "network.sqnt")
    restored, x = deep_compression.load(tmp_path / "network.sqnt"), np.random.default_rng(0).normal(size=(3, *shape))
    np.testing.assert_array_equal(restored.predict(x, verbose=0), network.predict(x, verbose=0))


def test_counters_beyond_float32_are_kept(tmp_path):
    values = {"count": np.int64(2**60 + 1)[None], "scalar": np.array(2**33 + 1, np.uint64), "one": np.array(True)}
    decoded = sqnt.decode(sqnt.encode(values, {}))[1]
    for name, value in values.items():
        assert (decoded[name].shape, decoded[name].item()) == (value.shape, value.item()), name
    with pytest.raises(ValueError, match="name is of type"):
        sqnt.encode({"name": np.array(["a"])}, {})


def test_what_is_written_can_be_read(tmp_path):
    path = tmp_path / "network.sqnt"
    large = keras.Sequential([keras.Input((2048,)), keras.layers.Dense(2048, use_bias=False)])
    large.set_weights([np.random.default_rng(0).normal(size=(2048, 2048))])
    with pytest.warns(UserWarning, match="pruning removed 100.0%"):
        deep_compression.compress(large, path, quality=4.0, bits=4)
    assert path.stat().st_size < 2000 and np.count_nonzero(deep_compression.load(path).get_weights()[0]) > 100
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"weights are more than the .* that .* bytes may hold: prune less"):
        deep_compression.save(path, {"zeros": np.zeros((2**13, 2**13), "f2")}, {})
    with pytest.raises(ValueError, match="a deflated section is longer"):
        deep_compression.save(path, {}, {"words": "x" * sqnt.MOST_HEADER})
    large.own = large.add_weight(shape=(3,), name="own")
    with pytest.raises(ValueError, match=r"weights outside of its layers, which a file cannot hold: .*own"):
        deep_compression.compress(large, path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


def test_agreement_is_measured_where_there_are_images(eager, network, tmp_path):
    images = np.random.default_rng(0).normal(0, 50, (40, 32, 32, 3))
    done = [deep_compression.compress(network, tmp_path / "a", images=images, **o) for o in ({}, {"quality": 2.0})]
    assert (done[0].removed, done[0].agreement) == (0, 1)
    assert 0.9 < done[1].removed < 1 and done[1].agreement < 1
    first = [model.predict(images, verbose=0).argmax(-1) for model in (network, deep_compression.load(tmp_path / "a"))]
    assert done[1].agreement == np.mean(first[0] == first[1])
    with pytest.raises(ValueError, match="at least two classes: omit them"):
        deep_compression.compress(dense(units=1), tmp_path / "b", images=np.zeros((2, 256)))
    with pytest.raises(ValueError, match="images must not be empty"):
        deep_compression.compress(network, tmp_path / "b", images=[])
