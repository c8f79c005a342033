"""The SqueezeNet paper, rerun: what the notebooks call. It lives in the clone; `squeezenet` is the library."""

import os

# TensorFlow reads these when it is imported. It leaves oneDNN off on CPUs without AVX-512, where it pays as well.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
