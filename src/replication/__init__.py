"""The paper, rerun: a package for each stage of the pipeline."""

import contextlib
import gc
import os
import warnings


@contextlib.contextmanager
def quiet():
    """Silence output and warnings: TensorFlow's libraries write to stderr whatever its log level is."""
    stderr = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            os.dup2(nowhere.fileno(), 2)
            with warnings.catch_warnings(action="ignore"):
                yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


DEFAULTS = {  # as in the Makefile, whatever ~/.keras/keras.json says; and float32 that a GPU does not round to TF32
    "KERAS_BACKEND": "tensorflow",
    "NVIDIA_TF32_OVERRIDE": "0",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
}
os.environ.update(DEFAULTS | os.environ)
gc.disable()  # what imports make stays, so that collecting garbage among it only costs time
try:
    with quiet():  # or else a red block stands on top of every notebook
        import keras  # noqa: F401
except ModuleNotFoundError as error:
    target = os.environ["KERAS_BACKEND"].replace("tensorflow", "venv")
    raise ModuleNotFoundError(f"{error}: run `make {target}` first, and use .venv/bin/python") from None
gc.freeze()
gc.enable()
