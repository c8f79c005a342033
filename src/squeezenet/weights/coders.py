"""The two entropy coders of .sqnt files: a range coder, and Huffman's as in the paper."""

import constriction
import numpy as np


def frequencies(symbols, size):
    """Square roots of the symbols' counts, as uint8: rounding costs a quarter of a bit per distinct symbol."""
    root = np.sqrt(np.bincount(symbols, minlength=size))
    scale = min(1, 255 / max(root.max(), 1))
    return np.where(root > 0, np.maximum(np.rint(root * scale), 1), 0).astype(np.uint8)


def read_frequencies(tables, size):
    """The next `size` frequencies of a stream, stored as differences."""
    return np.cumsum(np.frombuffer(tables.read(size), np.uint8), dtype=np.uint8)


def _probabilities(table):
    if not table.any():
        raise ValueError("a table without symbols")
    counts = np.square(table.astype(np.float64))
    return np.pad(counts / counts.sum(), (0, len(counts) == 1))  # the coders want two symbols


def _model(table):
    return constriction.stream.model.Categorical(_probabilities(table), perfect=False)


def _write_range(stream):
    encoder = constriction.stream.queue.RangeEncoder()
    for symbols, table in stream:
        encoder.encode(symbols.astype(np.int32), _model(table))
    return encoder.get_compressed()


def _read_range(words):
    decoder = constriction.stream.queue.RangeDecoder(words)
    return lambda count, table: decoder.decode(_model(table), count)


def _write_huffman(stream):
    encoder = constriction.symbol.QueueEncoder()
    for symbols, table in stream:
        tree = constriction.symbol.huffman.EncoderHuffmanTree(_probabilities(table))
        for symbol in symbols.tolist():
            encoder.encode_symbol(symbol, tree)
    return encoder.get_compressed()[0]


def _read_huffman(words):
    decoder = constriction.symbol.QueueDecoder(words)

    def read(count, table):
        tree = constriction.symbol.huffman.DecoderHuffmanTree(_probabilities(table))
        return np.fromiter((decoder.decode_symbol(tree) for _ in range(count)), np.int32, count)

    return read


WRITERS = {"range": _write_range, "huffman": _write_huffman}
READERS = {"range": _read_range, "huffman": _read_huffman}
