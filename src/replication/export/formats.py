"""A network in the files of other runtimes: how to write and open them, and how long an image takes."""

import re
import timeit

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf

from replication import quiet, records
from squeezenet import models, weights
from squeezenet.weights import sqnt

BATCH = 25  # images, where a runtime takes several
WARM_UP = 5  # calls before the first that counts


@quiet()
def write(network, architecture, folder, calibration):
    """Write a network in each of `FORMATS`: name -> path.

    Args:
        network: Keras model.
        architecture: keywords of `models.create` that build it.
        folder: files that it has are replaced.
        calibration: images as the network takes them, by which LiteRT knows the ranges of 8-bit activations.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / file for name, (file, _) in FORMATS.items()}
    records.save_network(network, paths["Keras"])
    network.export(paths["SavedModel"], format="tf_saved_model", verbose=False)
    network.export(paths["ONNX"], format="onnx", verbose=False)
    number_constants(paths["ONNX"])
    # Keras' format="litert" would write the SavedModel once more, for the same converter.
    float32, int8 = (tf.lite.TFLiteConverter.from_saved_model(str(paths["SavedModel"])) for _ in range(2))
    int8.optimizations = [tf.lite.Optimize.DEFAULT]
    int8.representative_dataset = lambda: ([image[None]] for image in calibration)
    int8.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    paths["LiteRT"].write_bytes(float32.convert())
    paths["LiteRT, 8 bits"].write_bytes(int8.convert())
    paths[".sqnt"].write_bytes(sqnt.encode(weights.tensors(network), architecture))
    return paths


def number_constants(path):
    """Renumber constants: of equal ones tf2onnx keeps a random one, whose name ends with its number."""
    model = onnx.load(path)
    constants = [each for each in model.graph.initializer if re.search(r"__\d+$", each.name)]
    names = {each.name: f"constant_{i}" for i, each in enumerate(constants)}
    for each in constants:
        each.name = names[each.name]
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    onnx.save(model, path)


# Each opens a file as a function from images to probabilities.


def keras_file(path):
    """Keras' compiled call; `predict` would make a pipeline of data for each call."""
    return keras.models.load_model(path).predict_on_batch


def saved_model(path):
    archive = tf.saved_model.load(path)
    return lambda images: archive.serve(images).numpy()


def onnx_file(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    return lambda images: session.run(None, {image.name: images})[0]


@quiet()
def litert(path):
    """LiteRT lays out its memory for one image."""
    interpreter = tf.lite.Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    (image,), (scores,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run_one(pixels):
        interpreter.set_tensor(image["index"], pixels[None])
        interpreter.invoke()
        return interpreter.get_tensor(scores["index"])[0]

    return lambda images: np.stack([run_one(each) for each in images])


def compressed(path):
    """Our file becomes a Keras model."""
    architecture, _ = sqnt.decode(path.read_bytes())
    return models.create(**architecture, weights=path).predict_on_batch


FORMATS = {
    "Keras": ("network.keras", keras_file),
    "SavedModel": ("saved_model", saved_model),
    "ONNX": ("network.onnx", onnx_file),
    "LiteRT": ("network.tflite", litert),
    "LiteRT, 8 bits": ("network_8bit.tflite", litert),
    ".sqnt": ("network.sqnt", compressed),
}


def size(path):
    """Bytes of a file, or of a folder's files without SavedModel's fingerprint, which is drawn at random."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file() and file.name != "fingerprint.pb")


def milliseconds(run, image, calls):
    """Milliseconds of one call with one image: the median with its quartiles."""
    seconds = timeit.repeat(lambda: run(image), number=1, repeat=WARM_UP + calls)[WARM_UP:]
    return dict(zip(("ms_low", "ms", "ms_high"), 1000 * np.percentile(seconds, (25, 50, 75)), strict=True))
