"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PARAMS = ROOT / "params.yaml"
NOTEBOOKS = ROOT / "notebooks"
REPORTS = ROOT / "reports"
DATA = ROOT / "data"
PAPER = DATA / "paper"  # the paper's numbers, in git
EXTERNAL = DATA / "external"  # archives: what the user brings along, what was downloaded; ignored by git
SHARED = ROOT.parent / "shared"  # beside the clone, where there is one
INTERRUPTED = DATA / "interrupted"  # training states to resume, each gone when its training has ended
CHECKPOINTS = DATA / "checkpoints"  # the networks of the recorded runs
EVIDENCE = DATA / "evidence"  # a row for each of their trainings, in git
BENCH = DATA / "bench"  # what `make bench` measured, in git

DATASET = DATA / "dataset"  # what stages leave
TRAIN = DATA / "train"
COMPRESS = DATA / "compress"
AUTHORS = DATA / "authors"
IMAGENET = DATA / "imagenet"
RUNS = DATA / "runs"  # what differs from run to run, by stage: executed notebooks, seconds, the machine
