"""The paper, rerun: a package for each stage of the pipeline."""

import contextlib
import io
import os
import warnings


@contextlib.contextmanager
def quiet():
    """Nothing is printed, and nobody warned: TensorFlow's libraries use stderr whatever its log level is."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
with quiet():  # or else a red block stands on top of every notebook
    import keras  # noqa: F401
