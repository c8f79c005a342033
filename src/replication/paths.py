"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARAMS = ROOT / "params.yaml"
NOTEBOOKS = ROOT / "notebooks"
REPORTS = ROOT / "reports"
DATA = ROOT / "data"
PAPER = DATA / "paper"  # the paper's numbers, in git
EXTERNAL = DATA / "external"  # what the user brings along, ignored by git
INTERRUPTED = DATA / "interrupted"  # training states to go on from; gone when a training ends
EVIDENCE = DATA / "evidence"  # a row for each longer training, in git
BENCH = DATA / "bench"  # what `make bench` measured, in git
GATHERED = DATA / "evidence.json"  # those that the report takes

DATASET = DATA / "dataset"  # from here on a folder for each stage
TRAIN = DATA / "train"
COMPRESS = DATA / "compress"
AUTHORS = DATA / "authors"
IMAGENET = DATA / "imagenet"
EXPORT = DATA / "export"
RUNS = DATA / "runs"  # what differs from run to run, by stage: executed notebooks, seconds, the machine


def train_dir(variant, seed):
    """The folder of one training: model.keras, history.csv, predictions.npz, metrics.json."""
    return TRAIN / variant / str(seed)
