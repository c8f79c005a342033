"""A file for a compressed network: zeros, shared values and frequent codes cost what their entropy says.

The encoder takes tensors as they are and finds what Deep Compression (Han et al. 2015a) left in them:
zeros become gaps, repeated values become codes of a codebook. It changes no bit of a weight. Little-endian:

    4 bytes      magic "SqNt"
    uint8        version, 1
    uint8        entropy coder: 0 range coder, 1 Huffman
    uint16       0
    uint32       CRC-32 of everything behind it
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
import json
import math
import struct
import zlib
from typing import Literal

import numpy as np

try:
    from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, ValidationError

    from squeezenet.weights import coders
except ImportError as error:
    message = f".sqnt files need {error.name}: in a clone, pip install '.[weights]'"
    raise ImportError(message, name=error.name) from None

from squeezenet.weights.network import check_finite

MAGIC, VERSION, CODERS = b"SqNt", 1, ("range", "huffman")
SECTIONS = ("header", "codebooks", "tables", "masks", "codes", "weights", "biases")
PREFIX = struct.Struct("<4sBBHI")
LENGTHS = struct.Struct(f"<{len(SECTIONS)}I")
GRID = struct.Struct("<fi")

HALF = np.finfo(np.float16).min, np.finfo(np.float16).max
FILLER = 15  # the longest gap, as in the authors' file
MOST_ENTRIES = 4096  # of a codebook; a tensor with more values is stored as it is
# What a hostile file may make us allocate, and what `encode` keeps to
MOST_HEADER = 2**24  # bytes, inflated
MOST_EXPANSION, ROOM = 1000, 2**24  # weights for each byte of the file, and weights beside these


class _Described(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Tensor(_Described):
    """What the header says of a tensor.

    Attributes:
        stored: entries that are not zero.
        gaps: symbols of the mask; 0 where no entry is zero, or all are.
        form: of the codebook ("list", "grid") or of uncoded values.
        entries: of the codebook.
    """

    name: str
    shape: list[PositiveInt]
    stored: NonNegativeInt
    gaps: NonNegativeInt = 0
    form: Literal["list", "grid", "<f4", "<f2", "<f8", "<i4", "<i8", "<u4", "<u8"] = "<f4"
    entries: NonNegativeInt = 0

    @property
    def size(self):
        return math.prod(self.shape)

    @property
    def is_bias(self):
        return len(self.shape) < 2


class Header(_Described):
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
        ValueError: a tensor is not finite or of a type that has no place here, there is no such coder, or so much
            would be described in so few bytes that `decode` would refuse it.
    """
    if coder not in CODERS:
        raise ValueError(f"coder must be one of {', '.join(CODERS)}. Received: {coder!r}")
    header = Header(architecture=architecture, tensors=[])
    sections = dict.fromkeys(SECTIONS, b"")
    streams = {"masks": [], "codes": []}
    tables = b""
    for name, tensor in tensors.items():
        values = _storable(name, np.asarray(tensor).ravel())
        entry = Tensor(name=name, shape=list(np.shape(tensor)), stored=values.size)
        header.tensors.append(entry)
        if not entry.is_bias:
            positions = np.flatnonzero(values)
            if len(positions) < values.size:
                values, entry.stored = values[positions], len(positions)
                gaps = _to_gaps(positions)
                entry.gaps = len(gaps)
                if not entry.stored:
                    continue
                table = coders.frequencies(gaps, FILLER + 1)
                streams["masks"].append((gaps, table))
                tables += np.diff(table, prepend=np.uint8(0)).tobytes()
            levels = _levels(values)
            if levels.size and values.dtype == np.float32:
                entry.form, block, levels = _pack_codebook(levels)
                codes = np.searchsorted(levels, values)
                table, entry.entries = coders.frequencies(codes, len(levels)), len(levels)
                streams["codes"].append((codes, table))
                sections["codebooks"] += block
                tables += np.diff(table, prepend=np.uint8(0)).tobytes()
                continue
        entry.form = values.dtype.str
        if values.dtype == np.float32 and np.array_equal(values, np.clip(values, *HALF).astype("<f2")):
            entry.form = "<f2"
        sections["biases" if entry.is_bias else "weights"] += values.astype(entry.form).tobytes()
    text = header.model_dump_json(exclude_defaults=True).encode()
    sections["header"] = zlib.compress(text, 9)
    sections["codebooks"] = zlib.compress(sections["codebooks"], 9)
    sections["tables"] = zlib.compress(tables, 9)
    for name, stream in streams.items():
        sections[name] = coders.WRITERS[coder](stream).astype("<u4").tobytes()
    body = LENGTHS.pack(*map(len, sections.values())) + b"".join(sections.values())
    if len(text) > MOST_HEADER:
        raise ValueError(f"the network's description takes {len(text):,} bytes, more than {MOST_HEADER:,}: simplify it")
    _check_expansion(header, PREFIX.size + len(body))
    return PREFIX.pack(MAGIC, VERSION, CODERS.index(coder), 0, zlib.crc32(body)) + body


def decode(data):
    """Decode what `encode` made.

    Returns:
        The architecture, and name -> float32 array.

    Raises:
        ValueError: the bytes are damaged or not of this format. Nothing is allocated that the file's own
            length does not justify.
    """
    try:
        return _decode(bytes(data))
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        raise ValueError(f"damaged network file: header, {where}: {problem['msg']}") from None
    except (ValueError, AssertionError, IndexError, RecursionError, zlib.error) as error:
        raise ValueError(f"damaged network file: {error}") from None


def read(path, _=None):
    """The tensors of a .sqnt file, and the architecture in it; a ValueError as of `decode`."""
    architecture, tensors = decode(path.read_bytes())
    return tensors, architecture


def byte_table(data):
    """Bytes of each section of a file that `encode` made, which sum to its size. The header counts all before it."""
    table = {name: len(section) for name, section in _sections(data).items()}
    table["header"] += PREFIX.size + LENGTHS.size
    return table


def describe(data):
    """Per tensor of a file that `encode` made: what its header says, and bytes with codes of whole bits, gaps of 4."""
    rows = []
    for t in _header(_sections(data)).tensors:
        width = math.ceil(math.log2(max(t.entries, 2))) if t.entries else 8 * np.dtype(t.form).itemsize
        fixed_length = math.ceil((t.stored * width + t.gaps * 4) / 8) + _codebook_bytes(t)
        rows.append(t.model_dump() | {"fixed_length": fixed_length})
    return rows


def _header(sections):
    return Header.model_validate(json.loads(_inflate(sections["header"], None, most=MOST_HEADER)))


def _sections(data):
    if len(data) < PREFIX.size + LENGTHS.size:
        raise ValueError(f"{len(data)} bytes are less than a prefix")
    magic, version, coder, reserved, checksum = PREFIX.unpack_from(data)
    if (magic, version, reserved) != (MAGIC, VERSION, 0) or coder >= len(CODERS):
        raise ValueError("not a network file of version 1")
    if checksum != zlib.crc32(data[PREFIX.size :]):
        raise ValueError("the checksum differs")
    lengths = LENGTHS.unpack_from(data, PREFIX.size)
    if PREFIX.size + LENGTHS.size + sum(lengths) != len(data):
        raise ValueError("the sections do not make up the file")
    ends = PREFIX.size + LENGTHS.size + np.cumsum(lengths)
    return {name: data[end - n : end] for name, end, n in zip(SECTIONS, ends, lengths, strict=True)}


def _decode(data):
    sections = _sections(data)
    header = _header(sections)
    coder = CODERS[data[5]]
    _check_expansion(header, len(data))
    for t in header.tensors:
        coded = t.form in ("list", "grid")
        if not (0 < t.stored <= t.gaps <= t.stored + t.size // FILLER if t.gaps else t.stored in (0, t.size)):
            raise ValueError(f"{t.name}: counts that contradict each other")
        if coded != (0 < t.entries <= MOST_ENTRIES) or (t.is_bias and (t.gaps or coded)):
            raise ValueError(f"{t.name}: a codebook that cannot be")

    tables = _inflate(sections["tables"], sum((FILLER + 1) * (t.gaps > 0) + t.entries for t in header.tensors))
    codebooks = _inflate(sections["codebooks"], sum(_codebook_bytes(t) for t in header.tensors))
    tables, codebooks, weights, biases = map(io.BytesIO, (tables, codebooks, sections["weights"], sections["biases"]))
    masks, codes = (coders.READERS[coder](np.frombuffer(sections[name], "<u4")) for name in ("masks", "codes"))
    tensors = {}
    for t in header.tensors:
        positions = slice(t.stored)
        if t.gaps:
            positions = _to_positions(masks(t.gaps, coders.read_frequencies(tables, FILLER + 1)), t)
        if t.entries:
            levels = _unpack_codebook(codebooks.read(_codebook_bytes(t)), t)
            values = levels[codes(t.stored, coders.read_frequencies(tables, t.entries))]
        else:
            uncoded = biases if t.is_bias else weights
            values = np.frombuffer(uncoded.read(t.stored * np.dtype(t.form).itemsize), t.form)
        if len(values) != t.stored or not np.isfinite(values).all():
            raise ValueError(f"{t.name}: values are missing or not finite")
        flat = np.zeros(t.size, t.form if values.dtype.itemsize > 4 or values.dtype.kind != "f" else np.float32)
        flat[positions] = values
        tensors[t.name] = flat.reshape(t.shape)
    if weights.read(1) or biases.read(1):
        raise ValueError("more values than the header describes")
    return header.architecture, tensors


def _check_expansion(header, length):
    if (weights := sum(t.size for t in header.tensors)) > (most := MOST_EXPANSION * length + ROOM):
        raise ValueError(f"{weights:,} weights are more than the {most:,} that {length:,} bytes may hold: keep more")


def _storable(name, values):
    """Numbers as float32 if that holds their values, else as they are."""
    wide = values.dtype.kind in "fiu" and values.dtype.itemsize <= 8
    if not wide and values.dtype.name not in ("bool", "bfloat16"):
        raise ValueError(f"{name} is of type {values.dtype}, which a file cannot hold")
    check_finite({name: values})
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype("<f4") + np.float32(0)  # of -0.0 it makes 0.0
        return (
            single
            if np.array_equal(single.astype(values.dtype), values)
            else values.astype(values.dtype.newbyteorder("<"))
        )


def _inflate(block, size, most=None):
    """Inflate to exactly `size` bytes, or to any number up to `most`."""
    inflater = zlib.decompressobj()
    content = inflater.decompress(block, (most or size) + 1)
    if not inflater.eof or inflater.unused_data or len(content) > (most or size) or (size and len(content) != size):
        raise ValueError("a deflated section has another length than the header says")
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
    """The distinct values, sorted; none where a codebook would not pay."""
    levels = np.unique(values)
    return levels if len(levels) <= min(MOST_ENTRIES, len(values) // 2) else levels[:0]


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


def _codebook_bytes(tensor):
    return {"grid": GRID.size, "list": 4 * tensor.entries}.get(tensor.form, 0)


def _grid(step, first, entries):
    return np.float32(step) * np.arange(first, first + entries).astype(np.float32)
