"""Print papermill's arguments for `make evidence`: a line per recorded training without a row.

The data sets that they need are made first.
"""

import argparse
import sys

import keras
import papermill

from replication import paths
from replication.dataset import splits
from replication.train import runs


def make_dataset(data):
    """Execute notebooks/dataset.ipynb, unless what it leaves is there."""
    if not (paths.DATASET / data.name / "dataset.json").exists():
        print(f"getting {data.name}", file=sys.stderr)
        parameters = {"name": data.name, "validation": data.validation}
        output = paths.CHECKPOINTS / f"dataset-{data.name}.ipynb"
        papermill.execute_notebook(paths.NOTEBOOKS / "dataset.ipynb", output, parameters, progress_bar=False)
    splits.describe(data, paths.DATASET)  # an error if another number of images is held out


def main():
    parser = argparse.ArgumentParser(prog="python -m replication.train", description=__doc__)
    parser.add_argument("run", nargs="*", help="runs of params.yaml; default: all of this backend")
    parser.add_argument("--variant", help="this network alone, whether it has a row or not")
    parser.add_argument("--seed", type=int, help="this seed alone")
    chosen = parser.parse_args()
    try:
        paths.CHECKPOINTS.mkdir(parents=True, exist_ok=True)
        trainings = [each for name in chosen.run or runs.plan() for each in runs.trainings(name)]
        named = [t for t in trainings if chosen.variant in (None, t.variant) and chosen.seed in (None, t.recipe.seed)]
        if not named:
            planned = sorted({f"{each.variant} of seed {each.recipe.seed}" for each in trainings})
            parser.error(f"no training fits --variant and --seed. There are {', '.join(planned)}")
        others = [each for each in named if each.backend != keras.backend.backend()]
        if chosen.run and others:
            parser.error("run {0.run} is trained on {0.backend}: set KERAS_BACKEND={0.backend}".format(others[0]))
        missing = [each for each in named if each not in others and (chosen.variant or each.row() is None)]
        if not missing:
            print(f"nothing to train on {keras.backend.backend()}: each of its trainings has a row", file=sys.stderr)
        for each in missing:
            make_dataset(each.data)
            output = (paths.CHECKPOINTS / f"{each.run}-{each.name}.ipynb").relative_to(paths.ROOT)
            print(f"notebooks/train.ipynb {output} -p run {each.run} -p variant {each.variant}", end=" ")
            print(f"-p seed {each.recipe.seed} -p learning_rate {each.recipe.learning_rate}")
    except (OSError, RuntimeError, ValueError, papermill.PapermillExecutionError) as error:
        parser.error(getattr(error, "evalue", error))  # of a notebook its last line


if __name__ == "__main__":
    main()
