"""What an interpreter of small devices, LiteRT, keeps for activations: the check on `costs.live_activations`."""

import keras
import numpy as np

from replication import quiet


@quiet()
def arena(network, bits):
    """Bytes of the block in which LiteRT's reference kernels keep all activations of an image, at 32 or 8 bits."""
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated

    image = keras.Input(batch_shape=(1, *network.input_shape[1:]))  # so that all shapes are known beforehand
    converter = tf.lite.TFLiteConverter.from_keras_model(keras.Model(image, network(image)))
    if bits == 8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        noise = np.random.default_rng(0).uniform(0, 255, image.shape).astype("float32")  # any image gives a range
        converter.representative_dataset = lambda: [[noise]]
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    content = bytes(converter.convert())
    kernels = tf.lite.experimental.OpResolverType.BUILTIN_REF  # they have no workspace of their own
    interpreter = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    # Python cannot ask for the arena's size: it spans the image and the outputs of all operations.
    graph = schema_py_generated.Model.GetRootAs(content).Subgraphs(0)
    made = {graph.Inputs(0)} | {graph.Operators(i).Outputs(0) for i in range(graph.OperatorsLength())}
    begins, ends = zip(*(np.lib.array_utils.byte_bounds(interpreter.tensor(each)()) for each in made), strict=True)
    return max(ends) - min(begins)
