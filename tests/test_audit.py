"""The audit: every fair reading is tried, each kind of mistake is told from a contradiction, and that comes out."""

import copy
import json

import keras
import pytest

from replication import params, paths
from replication.report import audit, ours
from replication.report import paper as papers
from squeezenet import SqueezeNet

SIX_BIT = "Table 2/SqueezeNet, Deep Compression, 6 bit/size"
BOUND = "Title/<0.5MB model size/size"
V11 = "README of v1.1/v1.1, computation/computation"


@pytest.fixture(scope="module")
def paper():
    return papers.numbers()


@pytest.fixture(scope="module")
def file():
    return json.loads((paths.EVIDENCE / "authors.json").read_text())


@pytest.fixture(scope="module")
def audited(paper, file):
    return audit.audit(paper, file).set_index("key")


# What the audit says


def test_every_printed_number_has_a_verdict_or_is_what_the_network_is_built_from(paper, audited):
    left_out = paper[~paper.key.isin(audited.index)]
    built = {"filter", "depth", "kernel", "bits", "squeeze1x1", "expand1x1", "expand3x3"}
    assert set(left_out.quantity) == built and set(left_out["where"]) == {"Table 1", "Table 2"}
    assert set(left_out.printed[left_out.quantity == "bits"]) == {"32"}
    assert audited.index.is_unique and set(audited.verdict) <= set(audit.VERDICTS)
    assert (audited.reading[audited.verdict.isin([audit.HOLDS, audit.SELF, audit.CITED])] != "").all()
    files = {name for name in paper.network if "/" in name}
    assert len(files) == 5 and set(paper.network) - files - {""} < set(params.read("variants", dict))


def test_each_contradiction_has_its_sentence_and_each_sentence_its_contradiction(audited):
    faults, errata = audited[audited.verdict.isin(audit.FAULTS)], papers.table("errata").set_index("key").sentence
    assert set(faults.index) == set(errata.index)
    assert faults.verdict.value_counts().to_dict() == {audit.CONTRADICTED: 2, audit.SELF_NOT: 5}
    assert all(audited.note[key].startswith(sentence.rstrip(".")) for key, sentence in errata.items())
    assert list(audited.index[audited.verdict == audit.SLIP]) == ["Section 2.3/VGG, the shallowest/layers"]
    assert (papers.table("others").source.str.len() > 5).all()


def test_no_unit_gives_the_size_of_the_complex_bypass_nor_of_bypasses_around_all_eight():
    vanilla = SqueezeNet((227, 227, 3))
    fires = [layer for layer in vanilla.layers if isinstance(layer, keras.layers.Concatenate)]
    inputs = [vanilla.get_layer(f"{fire.name}_squeeze1x1").input.shape[-1] for fire in fires]
    more = sum((x + 1) * fire.output.shape[-1] for x, fire in zip(inputs, fires, strict=True))
    for count in (SqueezeNet(use_bypass="complex").count_params(), vanilla.count_params() + more):
        assert not any(audit.agree("7.7", 4 * count / unit, "up") for unit in ours.UNITS.values())


def test_what_stands_on_other_printed_numbers_or_on_sources_does_not_hold_but_agrees(audited):
    ratios = audited[audited.index.str.endswith("/ratio")]
    assert set(ratios.verdict) == {audit.SELF} and len(ratios) == 22
    for key, verdict, words in [
        ("Title/50x fewer parameters/ratio", audit.SELF, "48.83"),
        ("Section 4/363x smaller than 32-bit AlexNet/ratio", audit.SELF, "360.9"),
        ("Section 4/33% sparsity, 6 bit/kept in all", audit.SELF, "34 to the nearest"),
        ("Section 7/Dense-Sparse-Dense, uncompressed/gain by DSD, top-1", audit.CITED, "61.76%"),
        ("Section 3.3.1/learning rate/learning rate", audit.CITED, "0.08"),
    ]:
        assert audited.verdict[key] == verdict and words in audited.note[key]


def test_a_number_that_is_printed_in_several_places_counts_once(audited):
    for key, times in (("Table 2/SqueezeNet, none, 32 bit/ratio", 5), (BOUND, 2)):
        assert (audited.repeats == key).sum() == times
    counts = audit.counts(audited.reset_index())
    assert sum(counts.values()) == (audited.repeats == "").sum() < len(audited)
    assert counts[audit.HOLDS] < (audited.verdict == audit.HOLDS).sum()


def test_one_way_of_rounding_gives_the_three_numbers_of_the_readme(audited):

    rows = audited[audited.what.str.contains("computation")]
    assert list(rows.verdict) == [audit.HOLDS, audit.ROUNDED, audit.ROUNDED]  # Caffe's pools round up
    assert rows.ours.iloc[1:].tolist() == ["0.7154 (as released: 0.7755)", "2.408 (as released: 2.221)"]
    assert rows.note.iloc[0].endswith("the last pool rounds down: 1.723")  # by Keras of networks built with such a pool
    assert rows.reading.str.endswith("to nearest").all() and audit.agree("1.72", 1.723) == "to nearest"


def test_nothing_drawn_contradicts(audited, paper):
    drawn = audited[audited.verdict == audit.DRAWN]
    assert list(drawn.index) == list(paper.key[paper.source == "drawn"]) and len(drawn) == 16
    assert (drawn.reading != "").sum() == 8  # all sizes agree


@pytest.mark.parametrize(
    ("size", "lost", "verdict"),
    [
        (468_000, 5, audit.HOLDS),
        (480_000, 5, audit.HOLDS),  # 0.47 times 1,000 KiB
        (430_000, 12, audit.OPEN),  # loses two points
        (530_000, 0, audit.OPEN),
    ],
)
def test_files_by_the_papers_method_decide_the_sizes_at_6_bits(paper, file, size, lost, verdict):
    rows = paper[paper.key.str.startswith(("Table", "Title"))]
    made = [{"file": "paper_6bit.sqnt", "bytes": size, "change": {"clean": dict(photographs=500, lost=lost, gained=2)}}]
    others = [each for each in file["files"] if each["file"] != made[0]["file"]]
    found = audit.audit(rows, file | {"files": made + others}).set_index("key")
    assert found.verdict[SIX_BIT] == found.verdict[BOUND] == verdict and f"{size:,} bytes" in found.note[SIX_BIT]
    assert any(audit.agree(found.ours[SIX_BIT], size / unit) for unit in ours.UNITS.values())  # of no other file


# Planted: a true contradiction of each kind comes out, and a number that is put right agrees


@pytest.mark.parametrize(
    ("key", "printed", "verdict"),
    [
        ("Table 1/fire5/parameters", "49,441", audit.CONTRADICTED),
        ("Table 1/fire5/parameters after pruning", "24,743", audit.SELF_NOT),
        ("Table 1/fire5/kept expand3x3", "35", audit.CONTRADICTED),
        ("Table 1/fire8/kept expand3x3", "30", audit.SELF),
        ("Table 1/maxpool8/output", "13x13x512", audit.SELF),
        ("Table 1/conv10/output", "15x15x1000", audit.HOLDS),
        ("Table 1/conv10/output", "13x13x1000", audit.DESCRIBED),  # unpadded
        ("Table 1/conv10/output", "14x14x1000", audit.CONTRADICTED),
        ("Table 1/avgpool10/filter", "15x15/1", audit.SELF_NOT),
        ("Table 2/AlexNet, Network Pruning (Han et al. 2015b), 32 bit/size", "29", audit.SLIP),
        ("Table 2/AlexNet, Deep Compression (Han et al. 2015a), 5-8 bit/bits", "4-8", audit.SLIP),
        ("Table 2/SqueezeNet, none, 32 bit/size", "4.6", audit.CONTRADICTED),
        ("Section 4/Deep Compression compressed SqueezeNet by 10x/ratio", "11", audit.SELF_NOT),
        ("Section 4/33% sparsity, 8 bit/kept in all", "30", audit.CONTRADICTED),
        ("Section 1/FPGA's on-chip memory, footnote, in bits/on-chip memory", "69", audit.SELF_NOT),
        ("Section 3.1/the majority of the filters are 1x1/share of 1x1 filters", ">80", audit.CONTRADICTED),
        ("Section 3.3/max-pooling after/max-pooled modules", "conv1, fire4, fire8", audit.SELF),
        ("Table 3/complex bypass/size", "6.1", audit.HOLDS),
        ("Figure 3(a)/SR 0.25/size", "9.9", audit.DRAWN),
        ("Section 5.3/plateaus at 85.6% using 50% 3x3 filters/top-5", "85.3", audit.SELF),
        (V11, "0.74", audit.CONTRADICTED),  # between two that exist
    ],
)
def test_a_changed_number_of_the_paper_changes_its_verdict(paper, file, key, printed, verdict):
    assert (paper.key == key).sum() == 1
    changed = audit.audit(paper.assign(printed=paper.printed.mask(paper.key == key, printed)), file)
    assert changed.verdict[changed.key == key].item() == verdict


def test_a_changed_file_of_the_authors_changes_its_verdict(paper, file):
    changed = copy.deepcopy(file)
    changed["decoded"]["layers"]["fire2_expand3x3"]["nonzero"] *= 2
    found = audit.audit(paper, changed).set_index("key")
    assert found.verdict["Table 1/fire2/kept expand3x3"] == audit.CONTRADICTED


@pytest.mark.parametrize(
    ("printed", "value", "cut", "words"),
    [
        ("1,248,424", 1248424, None, "exact"),
        ("4.8", 4.762, None, "to nearest"),
        ("4.8", 4.71, "up", "rounded up"),
        ("363", 363.6, "down", "rounded down"),
        ("240", 243.9, "up", "to 2 significant digits"),
        ("50", 48.83, "down", None),  # to its two digits
        ("<0.5", 0.47, None, "as a bound"),
        (">=80.3", 80.3, None, "as a bound"),
        ("13x12x512", "13x13x512", None, None),
    ],
)
def test_a_number_agrees_if_ours_rounds_to_it(printed, value, cut, words):
    assert audit.agree(printed, value, cut) == words
