"""Threads and seeds that make a run repeatable, and on JAX the devices and processes that train together."""

import contextlib
import functools
import os

import keras
import threadpoolctl


def set_up(threads, seed, dtype="float32", together=False):
    """Make a run repeatable: seeds, and on TensorFlow deterministic kernels and threads, whose number changes bits.

    `dtype` is Keras' policy. With `together`, on JAX, all devices train together, also those of other processes, given
    Keras' environment variables KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID.
    """
    keras.utils.clear_session()  # so that names are counted from the start, and a cell run twice is the same training
    keras.config.set_dtype_policy(dtype)
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "float32")  # a GPU would round the factors of float32 to TF32
        if together and "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ and not jax.distributed.is_initialized():
            keras.distribution.initialize()
        if together and len(devices := keras.distribution.list_devices()) > 1:  # set anew: clear_session forgets it
            parallel = keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
            keras.distribution.set_distribution(parallel)
    keras.utils.set_random_seed(seed)
    threadpoolctl.threadpool_limits(threads, "blas")  # NumPy's threads spin while other processes have the cores
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        tf.get_logger().setLevel("ERROR")  # it warns of each network after the fifth
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


def everywhere(model):
    """The model itself, or where several devices train together, its copy on all of them."""
    if keras.distribution.distribution() is None:
        return model
    copy = keras.models.clone_model(model)  # all processes must start from the same values
    copy.set_weights(model.get_weights())
    return copy


def process():
    """This process's number, and how many processes train together."""
    distribution = keras.distribution.distribution()
    return (distribution.data_shard_id, distribution.num_processes) if distribution else (0, 1)


def writes():
    """Whether this process writes files, which only the first of several that train together does."""
    return process()[0] == 0


@contextlib.contextmanager
def alone(model):
    """The model itself, or where several devices train, a copy on this process's first one, which takes any batch."""
    if keras.distribution.distribution() is None:
        yield model
        return
    with one_device():
        copy = _copy(model)
        copy.set_weights(model.get_weights())
        yield copy


@contextlib.contextmanager
def one_device():
    """Work as if this process's first device were the only one."""
    together = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(together)


@functools.lru_cache(maxsize=1)  # compiled once
def _copy(model):
    copy = keras.models.clone_model(model)
    copy.compile(loss=model.loss, metrics=["accuracy"])
    return copy
