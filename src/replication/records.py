"""The files of a stage: written whole, networks and arrays equal to the byte, and the provenance of results."""

import importlib.metadata
import io
import json
import os
import platform
import subprocess
import warnings
import zipfile

import keras
import numpy as np
from cpuinfo import get_cpu_info

from replication import paths

EPOCH = (1980, 1, 1, 0, 0, 0)  # the time of a file in an archive that must not tell when it was made


def write(path, content):
    """Write a file, of text or bytes, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.replace(temporary, path)


def read(path, remedy="take it from git again"):
    """A JSON object; a ValueError names the file and a remedy if it is damaged, as a conflict of git leaves it."""
    try:
        return dict(json.loads(path.read_text()))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {remedy} ({error})") from None


def save_arrays(path, arrays):
    """Save a dict of arrays as .npz. np.savez gives other bytes under another Python, which makes DVC retrain."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.save(content, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), content.getbuffer())


def save_network(network, path):
    """Save a Keras model as .keras; equal networks give equal bytes: no time of saving, no addresses in memory."""
    network.save(path)
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in sorted(archive.namelist())}
    passing = ("date_saved", "shared_object_id")
    for name in ("metadata.json", "config.json"):
        stable = json.loads(files[name], object_hook=lambda each: {k: v for k, v in each.items() if k not in passing})
        files[name] = json.dumps(stable).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), content)


def provenance():
    """Where a result comes from: commit, versions, backend, hardware."""
    cpu = get_cpu_info()
    vectors = [name for name in ("avx2", "avx512f", "amx_tile") if name in cpu.get("flags", ())]  # on them bits depend
    hardware = [cpu.get("brand_raw", platform.machine()), *vectors[-1:], f"{os.cpu_count()} cores", accelerator()]
    return {
        "commit": commit(),
        "versions": versions(),
        "backend": keras.backend.backend(),
        "hardware": ", ".join(filter(None, hardware)),
    }


def commit():
    """The commit, with "-dirty" if tracked files differ from it; None, with a warning that says why, if git fails."""
    command = ["git", "--git-dir=.git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    git = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True)
    if git.returncode:
        warnings.warn(f"the commit is not recorded. Git says: {' '.join(git.stderr.split())}", stacklevel=3)
    return git.stdout.strip() if git.returncode == 0 else None


def versions():
    """The versions of Python, Keras, NumPy and the backend."""
    packages = ("keras", "numpy", keras.backend.backend())
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages}


def accelerator():
    """The name of the GPU or other accelerator that trains; None on a CPU."""
    if keras.backend.backend() == "jax":
        import jax

        names = [device.device_kind for device in jax.local_devices() if device.platform != "cpu"]
    else:
        import tensorflow as tf

        found = tf.config.list_physical_devices("GPU")
        names = [tf.config.experimental.get_device_details(device).get("device_name", "GPU") for device in found]
    return ", ".join(names) or None
