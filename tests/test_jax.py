"""The tests of test_training.py that are marked so, on JAX: in a process of its own, as a backend is chosen once."""

import os
import re
import subprocess
import sys

import pytest

from replication import paths


@pytest.mark.slow
def test_trainings_on_jax(tmp_path):
    environment = os.environ | {"KERAS_BACKEND": "jax", "JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-m", "jax", "tests/test_training.py"]
    result = subprocess.run(command, cwd=paths.ROOT, env=environment, text=True, stdout=subprocess.PIPE)
    assert result.returncode == 0 and re.search(r"= \d+ passed, \d+ deselected in ", result.stdout), result.stdout
