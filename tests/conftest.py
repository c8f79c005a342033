import pytest


def pytest_collection():
    """Before the first tensor, as TensorFlow's threads cannot be changed later, and only in processes that test."""
    from replication.train import devices

    devices.set_up(threads=1, seed=0)


def pytest_collection_modifyitems(items):
    """The pipeline comes first: while one worker waits for it, the other runs the rest."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture
def eager(monkeypatch):
    """Networks run without being compiled, which takes longer than a few steps."""
    import keras

    monkeypatch.setattr(keras.Model, "run_eagerly", property(lambda self: True, lambda self, value: None))
