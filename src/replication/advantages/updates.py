"""What a client downloads: a whole network, or an update of the version that it has.

An update is a .sqnt file of differences, so the same entropy coder writes downloads and updates. Each tensor is stored
in the first of these forms that applies; biases, unless nothing changed, as `new`:

    nothing           it is as it was
    values            weights that shared a value still do: the new values, in the order of the old
    levels, codes     it has few values: all of them, and each weight's offset from the one nearest its old value
    byte0 to byte3    differences of the bit patterns; if all zeros have stayed, of the other weights alone
    new               biases, as they are

The general tool beside it is deflate, once alone and once with the old version as its dictionary.
"""

import zlib

import numpy as np

from squeezenet.weights import sqnt

BLOCK = 2**14  # bytes: deflate's window, 2^15, holds a block of each of the two versions


def encode(old, new):
    """The bytes of an update; `old` and `new` are name -> float32 array, as in `weights.tensors`, of one network."""
    parts = {}
    for name in new:
        for part, values in _differences(old[name] + np.float32(0), new[name] + np.float32(0)).items():
            parts[f"{name}/{part}"] = values.astype(np.float32)
    return sqnt.encode(parts, {"update": len(new)})


def apply(old, data):
    """The new version, from the old one and an update; equal to the bit, but for the sign of zeros."""
    received, new = {}, {}
    for name, values in sqnt.decode(data)[1].items():
        tensor, _, part = name.rpartition("/")
        received.setdefault(tensor, {})[part] = values
    for name, tensor in old.items():
        parts = {part: values.ravel() for part, values in received.get(name, {}).items()}
        new[name] = _restored(tensor + np.float32(0), parts).reshape(tensor.shape) if parts else tensor
    return new


def _differences(old, new):
    if np.array_equal(old, new):
        return {}
    if new.ndim == 1:
        return {"new": new}
    levels, codes = np.unique(old, return_inverse=True)
    if len(levels) <= sqnt.MOST_ENTRIES:
        moved = np.zeros(len(levels), np.float32)
        moved[codes.ravel()] = new.ravel()
        if np.array_equal(moved[codes.ravel()], new.ravel()):
            return {"values": moved}
    levels = np.unique(new)
    if len(levels) <= min(sqnt.MOST_ENTRIES, new.size // 2):
        codes = np.searchsorted(levels, new)
        return {"levels": levels, "codes": codes - _nearest(levels, old)}
    where = _support(old, not new[old == 0].any())
    bits = (new[where].view(np.int32) - old[where].view(np.int32)).astype(np.int32)
    bits = ((bits << 1) ^ (bits >> 31)).view(np.uint32)  # small differences of either sign are small numbers
    planes = {f"byte{i}": bits >> 8 * i & 255 for i in range(4)}
    return {name: plane.reshape(1, -1) for name, plane in planes.items() if plane.any()} or {"new": new}


def _restored(old, parts):
    if "new" in parts:
        return parts["new"]
    if "values" in parts:
        return parts["values"][np.unique(old, return_inverse=True)[1].ravel()]
    if "levels" in parts:
        return parts["levels"][(parts["codes"] + _nearest(parts["levels"], old).ravel()).astype(int)]
    (size,) = {values.size for values in parts.values()}
    where = _support(old, size < old.size)
    bits = sum((values.astype(np.uint32) << 8 * int(name[-1]) for name, values in parts.items()), np.uint32(0))
    bits = (bits >> 1).view(np.int32) ^ -(bits & 1).view(np.int32)
    new = old.copy()
    new[where] = (old[where].view(np.int32) + bits).view(np.float32)
    return new


def _support(old, zeros_stay):
    return old != 0 if zeros_stay else np.ones(old.shape, bool)


def _nearest(levels, values):
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values)


def raw(tensors):
    """All weights as they lie in memory, one tensor after the other."""
    return b"".join(np.ascontiguousarray(tensor, "<f4").tobytes() for tensor in tensors.values())


def deflate(new, old=None):
    """Bytes, deflated; with an old version of the same length block by block, its bytes as the dictionary."""
    if old is None:
        return zlib.compress(new)
    blocks = []
    for i in range(0, len(new), BLOCK):
        tool = zlib.compressobj(wbits=-zlib.MAX_WBITS, zdict=old[i : i + BLOCK])
        blocks += [tool.compress(new[i : i + BLOCK]), tool.flush()]
    return b"".join(blocks)
