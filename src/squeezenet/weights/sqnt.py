"""A file for a compressed network: zeros, shared values and frequent codes cost what their entropy says.

The encoder takes tensors as they are and finds what Deep Compression (Han et al. 2015a) left in them:
zeros become gaps, repeated values become codes of a codebook. It loses nothing but the sign of zeros. Little-endian:

    4 bytes      magic "SqNt"
    uint8        version, 1
    uint8        entropy coder: 0 range coder, 1 Huffman
    uint16       0
    uint32       CRC-32 of everything after it
    7 x uint32   bytes of each section, which follow without padding:

    header       deflated JSON: how the network is built (see `deep_compression.load`), and a `Tensor` for each tensor
    codebooks    deflated; "list": sorted float32 values as differences of their bit patterns, all lowest
                 bytes first; "grid": float32 step, int32 first multiple
    tables       deflated uint8, differences modulo 256: m of each symbol, of probability m^2 / sum(m^2)
    masks        entropy-coded gaps: the zeros before a weight, 0 to 14; 15 is 15 zeros and no weight
    codes        entropy-coded indices into the codebook, one for each weight that is not zero
    weights      the weights of tensors without a codebook: float32, float16, or the tensor's own type if float32
                 cannot hold its values: float64, integers
    biases       likewise, the tensors of one dimension or none
"""

import io
import math
import struct
import zlib
from typing import Annotated, Literal

import numpy as np

try:
    from pydantic import BaseModel, Field, NonNegativeInt, PositiveInt

    from squeezenet.weights import coders
except ImportError as error:
    message = f".sqnt files need {error.name or error}: in a clone, pip install '.[weights]'"
    raise ImportError(message, name=error.name) from None

from squeezenet.weights.model_tensors import check_finite

MAGIC, VERSION, CODERS = b"SqNt", 1, ("range", "huffman")
SECTIONS = ("header", "codebooks", "tables", "masks", "codes", "weights", "biases")
PREFIX = struct.Struct("<4sBBHI")
LENGTHS = struct.Struct(f"<{len(SECTIONS)}I")
GRID = struct.Struct("<fi")

HALF = np.finfo(np.float16).min, np.finfo(np.float16).max
FILLER = 15  # the longest gap, as in the authors' file
MOST_ENTRIES = 4096  # of a codebook; a tensor with more values is stored as it is
# What a hostile file may make us allocate
MOST_HEADER = 2**24  # bytes, inflated
MOST_EXPANSION, ROOM = 1000, 2**24  # weights for each byte of the file, and weights beside these


class Tensor(BaseModel, extra="forbid", strict=True):
    """What the header says of a tensor."""

    name: str
    shape: list[PositiveInt]
    stored: NonNegativeInt  # entries that are not zero
    gaps: NonNegativeInt = 0  # symbols of the mask; 0 where no entry is zero, or all are
    form: Literal["list", "grid", "<f4", "<f2", "<f8", "<i4", "<i8", "<u4", "<u8"] = "<f4"  # of codebook or values
    entries: Annotated[int, Field(ge=0, le=MOST_ENTRIES)] = 0  # of the codebook

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def is_bias(self):
        return len(self.shape) < 2

    @property
    def codebook_bytes(self):
        return {"grid": GRID.size, "list": 4 * self.entries}.get(self.form, 0)


class Header(BaseModel, extra="forbid", strict=True):
    architecture: dict
    tensors: list[Tensor]


def encode(tensors, architecture, coder="range"):
    """Encode tensors without loss, but for the sign of zeros.

    Args:
        tensors: name -> array; those of one dimension or none are stored uncoded, as biases.
        architecture: how the network is built, for `deep_compression.load`; as JSON holds it.
        coder: "range", or "huffman" as in the paper.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: a tensor is not finite or of a type that has no place here, or there is no such coder.
    """
    if coder not in CODERS:
        raise ValueError(f"coder must be one of {', '.join(CODERS)}. Received: {coder!r}")
    described, streams, sections = [], {"masks": [], "codes": []}, dict.fromkeys(SECTIONS, b"")

    def code(section, symbols, size):
        table = coders.frequencies(symbols, size)
        streams[section].append((symbols, table))
        sections["tables"] += np.diff(table, prepend=np.uint8(0)).tobytes()

    for name, tensor in tensors.items():
        values = _storable(name, np.asarray(tensor).ravel())
        entry = Tensor(name=name, shape=list(np.shape(tensor)), stored=values.size)
        described.append(entry)
        if not entry.is_bias and not values.all():
            positions = np.flatnonzero(values)
            values, entry.stored = values[positions], len(positions)
            if not entry.stored:
                continue
            gaps = _to_gaps(positions)
            entry.gaps = len(gaps)
            code("masks", gaps, FILLER + 1)
        if not entry.is_bias and (levels := _levels(values)).size:
            entry.form, block, levels = _pack_codebook(levels)
            entry.entries = len(levels)
            sections["codebooks"] += block
            code("codes", np.searchsorted(levels, values), len(levels))
        else:
            is_half = values.dtype == np.float32 and np.array_equal(values, np.clip(values, *HALF).astype("<f2"))
            entry.form = "<f2" if is_half else values.dtype.str
            sections["biases" if entry.is_bias else "weights"] += values.astype(entry.form).tobytes()
    header = Header(architecture=architecture, tensors=described)
    sections["header"] = header.model_dump_json(exclude_defaults=True).encode()
    for name in ("header", "codebooks", "tables"):
        sections[name] = zlib.compress(sections[name], 9)
    for name, stream in streams.items():
        sections[name] = coders.WRITERS[coder](stream).astype("<u4").tobytes()
    body = LENGTHS.pack(*map(len, sections.values())) + b"".join(sections.values())
    return PREFIX.pack(MAGIC, VERSION, CODERS.index(coder), 0, zlib.crc32(body)) + body


def decode(data):
    """Decode what `encode` made.

    Returns:
        The architecture, and name -> float32 array; of another type where `encode` stored that.

    Raises:
        ValueError: the bytes are damaged, not of this format, or describe far more weights than they may hold.
    """
    try:
        return _decode(bytes(data))
    except (ValueError, TypeError, AssertionError, IndexError, struct.error, zlib.error) as error:
        raise ValueError(f"damaged network file: {' '.join(str(error).split())}") from None


def read(path, _=None):
    """The tensors of a .sqnt file, and the architecture in it; a ValueError as in `decode`."""
    architecture, tensors = decode(path.read_bytes())
    return tensors, architecture


def byte_table(data):
    """Bytes of each section of a file that `encode` made, which sum to its size. The header counts all before it."""
    table = {name: len(section) for name, section in _sections(data).items()}
    table["header"] += PREFIX.size + LENGTHS.size
    return table


def describe(data):
    """What the header of a file that `encode` made says of each tensor."""
    return [tensor.model_dump() for tensor in _header(_sections(data)).tensors]


def _header(sections):
    return Header.model_validate_json(_inflate(sections["header"], MOST_HEADER))


def _sections(data):
    magic, version, coder, reserved, checksum = PREFIX.unpack_from(data)
    if (magic, version, reserved) != (MAGIC, VERSION, 0) or coder >= len(CODERS):
        raise ValueError("not a network file of version 1")
    if checksum != zlib.crc32(data[PREFIX.size :]):
        raise ValueError("the checksum differs")
    stream = io.BytesIO(data[PREFIX.size + LENGTHS.size :])
    return {name: stream.read(n) for name, n in zip(SECTIONS, LENGTHS.unpack_from(data, PREFIX.size), strict=True)}


def _decode(data):
    sections = _sections(data)
    header = _header(sections)
    coder = coders.READERS[CODERS[data[5]]]
    claim, most = sum(max(t.size, t.stored, t.gaps) for t in header.tensors), MOST_EXPANSION * len(data) + ROOM
    if claim > most:
        raise ValueError(f"{claim:,} weights are more than the {most:,} that {len(data):,} bytes may hold: prune less")
    tables = _inflate(sections["tables"], sum((FILLER + 1) * (t.gaps > 0) + t.entries for t in header.tensors))
    codebooks = _inflate(sections["codebooks"], sum(t.codebook_bytes for t in header.tensors))
    tables, codebooks, weights, biases = map(io.BytesIO, (tables, codebooks, sections["weights"], sections["biases"]))
    masks, codes = (coder(np.frombuffer(sections[name], "<u4")) for name in ("masks", "codes"))
    tensors = {}
    for t in header.tensors:
        positions = slice(None)
        if t.gaps:
            positions = _to_positions(masks(t.gaps, coders.read_frequencies(tables, FILLER + 1)), t)
        if t.entries:
            levels = _unpack_codebook(codebooks.read(t.codebook_bytes), t)
            values = levels[codes(t.stored, coders.read_frequencies(tables, t.entries))]
        else:
            uncoded = biases if t.is_bias else weights
            values = np.frombuffer(uncoded.read(t.stored * np.dtype(t.form).itemsize), t.form)
        if len(values) != t.stored or not np.isfinite(values).all():
            raise ValueError(f"{t.name}: values are missing or not finite")
        flat = np.zeros(t.size, np.float32 if t.form == "<f2" else values.dtype)
        if t.stored:
            flat[positions] = values
        tensors[t.name] = flat.reshape(t.shape)
    return header.architecture, tensors


def _storable(name, values):
    """Numbers as float32 if that holds their values, else as they are."""
    wide = values.dtype.kind in "fiu" and values.dtype.itemsize <= 8
    if not wide and values.dtype.name not in ("bool", "bfloat16"):
        raise ValueError(f"{name} is of type {values.dtype}, which a file cannot hold")
    check_finite({name: values})
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype("<f4") + np.float32(0)  # of -0.0 it makes 0.0
        is_exact = np.array_equal(single.astype(values.dtype), values)
    return single if is_exact else values.astype(values.dtype.newbyteorder("<"))


def _inflate(block, most):
    """Inflate to at most so many bytes."""
    inflater = zlib.decompressobj()
    content = inflater.decompress(block, most + 1)
    if not inflater.eof or len(content) > most:
        raise ValueError("a deflated section is longer than the header says, or cut")
    return content


def _to_gaps(positions):
    """Zeros before each position, where fillers bridge the gaps of 15 and more."""
    zeros = np.diff(positions, prepend=-1) - 1
    fillers = zeros // FILLER
    gaps = np.full(len(zeros) + fillers.sum(), FILLER)
    gaps[np.cumsum(fillers + 1) - 1] = zeros % FILLER
    return gaps


def _to_positions(gaps, tensor):
    is_weight = gaps < FILLER
    positions = (np.cumsum(gaps + is_weight, dtype=np.int64) - 1)[is_weight]
    if len(positions) != tensor.stored or (len(positions) and positions[-1] >= tensor.size):
        raise ValueError(f"{tensor.name}: its mask does not fit it")
    return positions


def _levels(values):
    """The distinct values, sorted; none where a codebook would not pay, or could not hold them."""
    levels = np.unique(values)
    pays = values.dtype == np.float32 and len(levels) <= min(MOST_ENTRIES, len(values) // 2)
    return levels if pays else levels[:0]


def _pack_codebook(levels):
    """Form, bytes and values of a codebook; multiples of a step need no list."""
    step = np.diff(np.sort(np.append(levels, np.float32(0)))).min()
    first, last = (round(float(level) / float(step)) for level in levels[[0, -1]])
    if last - first < min(MOST_ENTRIES, 4 * len(levels)):
        grid = _grid(step, first, last - first + 1)
        if np.isin(levels, grid).all():
            return "grid", GRID.pack(step, first), grid
    patterns = np.diff(levels.view(np.uint32), prepend=np.uint32(0)).astype("<u4")
    return "list", patterns.view(np.uint8).reshape(-1, 4).T.tobytes(), levels


def _unpack_codebook(block, tensor):
    if tensor.form == "grid":
        return _grid(*GRID.unpack(block), tensor.entries)
    patterns = np.frombuffer(block, np.uint8).reshape(4, -1).T.copy().view("<u4")
    return np.cumsum(patterns, dtype=np.uint32).view(np.float32)


def _grid(step, first, entries):
    return np.float32(step) * np.arange(first, first + entries).astype(np.float32)
