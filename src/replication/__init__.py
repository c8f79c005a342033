"""The paper, rerun: a package for each stage of the pipeline."""

import os

# TensorFlow's libraries print on stderr before TF_CPP_MIN_LOG_LEVEL counts: a red block on top of every notebook.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
_stderr, _nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 2)
try:
    import keras  # noqa: F401
finally:
    os.dup2(_stderr, 2)
    os.close(_stderr)
    os.close(_nowhere)
