"""Stage transfer: which images are learnt from, and that learning from scratch is a training of the recipe."""

import numpy as np
import pytest
from PIL import Image

from replication.dataset.splits import Split
from replication.params import read
from replication.train.recipe import Train
from replication.transfer import few


@pytest.fixture
def settings():
    own = {"per_class": 2, "side": 32, "epochs": 1, "batch_size": 4}
    return read("transfer", few.Transfer).model_copy(update=own)


def test_a_folder_of_classes_gives_a_few_of_each_and_the_others_to_test(settings, tmp_path):
    for name, count in (("cat", 3), ("dog", 4)):
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (50, 40), (10 * i, 0, 0)).save(tmp_path / name / f"{i}.png")
    name, classes, train, test = few.draw(settings.model_copy(update={"folder": tmp_path}), None)
    assert (name, classes) == (tmp_path.name, ["cat", "dog"])
    assert train.labels.tolist() == [0, 0, 1, 1] and test.labels.tolist() == [0, 1, 1]
    assert train.images.shape == (4, 32, 32, 3) and test.images[:, 0, 0, 0].tolist() == [20, 20, 30]


def test_from_scratch_repeats_to_the_bit(settings):
    rng = np.random.default_rng(0)
    train, test = (Split(rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8), np.arange(n) % 3) for n in (9, 6))
    recipe = read("train", Train)
    first, again = (few.from_scratch(settings, recipe, ["a", "b", "c"], train, test) for _ in range(2))
    assert first.shape == (6,) and set(first) <= {0, 1, 2}
    np.testing.assert_array_equal(first, again)
