"""The SqueezeNet paper, rerun: what the notebooks call. It lives in the clone; `squeezenet` is the library."""
