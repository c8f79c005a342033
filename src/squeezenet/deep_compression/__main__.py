"""Compress a Keras model of convolutions and dense layers into a .sqnt file, bring it back, or look into the file.

Nothing is trained or measured: measure the network that comes back. Pruning (--quality) needs retraining, for which
see docs/deep_compression.md; without it accuracy may be lost.

python -m squeezenet.deep_compression network.keras --bits 6 --bytes 470000 -o network.sqnt
python -m squeezenet.deep_compression network.sqnt -o network.keras
python -m squeezenet.deep_compression --inspect network.sqnt
"""

import argparse
import sys
import warnings
from pathlib import Path

import keras
from rich.console import Console
from rich.table import Column, Table

from squeezenet.deep_compression import compress, load
from squeezenet.deep_compression.files import reason, whole
from squeezenet.weights import check_content, sqnt

DIRECTIONS = {".keras": ".sqnt", ".sqnt": ".keras"}


def parse(arguments):
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m squeezenet.deep_compression", None, __doc__, formatter_class=text)
    parser.add_argument("file", type=Path, help="a .keras or a .sqnt file")
    parser.add_argument("-o", dest="output", type=Path, help="the file to write, of the other kind")
    parser.add_argument("--inspect", action="store_true", help="show the bytes of a .sqnt file by section and tensor")
    of = parser.add_argument_group("compression", "without any of these nothing is lost")
    of.add_argument("--quality", type=float, help="prune weights below this many standard deviations of their layer")
    of.add_argument("--bits", type=int, help="let the weights of a layer share at most 2^BITS - 1 values")
    of.add_argument("--bytes", type=int, help="largest size of the file; weights are rounded as finely as fits")
    of.add_argument("--huffman", action="store_true", help="code by Huffman, as the paper does")
    given = parser.parse_args(arguments)
    kind = given.file.suffix
    compressing = given.huffman or any(value is not None for value in (given.quality, given.bits, given.bytes))
    if given.inspect:
        if kind != ".sqnt" or given.output or compressing:
            parser.error("--inspect takes a .sqnt file and nothing else")
    elif given.output is None:
        parser.error("give -o, the file to write")
    elif DIRECTIONS.get(kind) != given.output.suffix:
        parser.error(f"from .keras to .sqnt or back; received {given.file} and {given.output}")
    elif kind == ".sqnt" and compressing:
        parser.error("--quality, --bits, --bytes and --huffman are for a .keras file")
    elif not given.output.parent.is_dir():
        parser.error(f"{given.output.parent} is not a folder")
    return given


def run(given):
    if given.inspect:
        inspect(given.file)
        return
    if given.file.suffix == ".sqnt":
        model = load(given.file)
        with whole(given.output) as path:
            model.save(path)
    else:
        if given.file.is_file():
            check_content(given.file)
        model = keras.models.load_model(given.file, compile=False, safe_mode=True)
        options = {"quality": given.quality, "bits": given.bits, "budget": given.bytes}
        compress(model, given.output, **options, coder=sqnt.CODERS[given.huffman])
    size, dense = given.output.stat().st_size, 4 * model.count_params()
    print(f"{given.output}: {size:,} bytes, where {model.count_params():,} weights of float32 take {dense:,}")


def inspect(path):
    """Print the bytes of a .sqnt file: of its sections, which sum to the file, and of each tensor in a file alone."""
    check_content(path)
    data = path.read_bytes()
    _, tensors = sqnt.decode(data)
    sections = [(name, f"{size:,}", f"{size / len(data):.1%}") for name, size in sqnt.byte_table(data).items()]
    coder, rows = sqnt.CODERS[data[5]], []
    empty = len(sqnt.encode({}, {}, coder))
    for told in sqnt.describe(data):
        tensor = tensors[told["name"]]
        size = len(sqnt.encode({told["name"]: tensor}, {}, coder)) - empty
        shape, values = " x ".join(map(str, tensor.shape)), told["entries"] or told["form"]
        counts = f"{tensor.size:,}", f"{told['stored']:,}", str(values), f"{size:,}", f"{8 * size / tensor.size:.2f}"
        rows.append((told["name"], shape, *counts))
    console = Console(width=None if sys.stdout.isatty() else 160)
    console.print(table(sections, "section", "bytes", "share", title=f"{path.name}: {len(data):,} bytes"))
    console.print(table(rows, "tensor", "shape", "weights", "not zero", "values", "bytes alone", "bits a weight"))


def table(rows, name, *columns, title=None):
    shown = Table(name, *(Column(column, justify="right") for column in columns), title=title)
    for row in rows:
        shown.add_row(*row)
    return shown


def main(arguments=None):
    given = parse(arguments)
    try:
        run(given)
    except Exception as error:  # Keras raises many kinds, of many lines
        text = reason(error).removeprefix(f"{given.file}: ")
        sys.exit(f"{given.file}: {text or type(error).__name__}")


if __name__ == "__main__":
    warnings.formatwarning = lambda message, *_: f"warning: {message}\n"  # without a place in this code
    main()
