"""What papermill has to run for the recorded trainings that have no row yet: `make evidence` runs each line."""

import argparse

import keras

from replication import paths
from replication.train import runs

parser = argparse.ArgumentParser(prog="python -m replication.train", description=__doc__)
parser.add_argument("run", nargs="*", help="of params.yaml; all of this backend's if none is named")
for name in parser.parse_args().run or runs.plan():
    for each in runs.trainings(name):
        if each.backend == keras.backend.backend() and not each.is_recorded():
            output = (paths.CHECKPOINTS / f"{name}-{each.name}.ipynb").relative_to(paths.ROOT)
            print(f"notebooks/train.ipynb {output} -p run {name} -p variant {each.variant}", end=" ")
            print(f"-p seed {each.recipe.seed} -p learning_rate {each.recipe.learning_rate:g}")
