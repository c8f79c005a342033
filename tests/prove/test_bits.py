"""Two whole runs in different folders, of two trainings at once and of one after the other."""

from conftest import assert_same, copy, digests, finish, repro, start


def test_same_bits(untouched, reference, tmp_path, record_property):
    """`make repro` with JOBS=2 and with JOBS=1, in different folders: the same bytes under data and reports"""
    folder = copy(untouched, tmp_path)
    finish(start(folder, *repro(), jobs=1))
    assert_same(folder, reference[0])
    record_property("outcome", f"{len(digests(folder))} files equal")
