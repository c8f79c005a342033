"""The audit: every fair reading is tried, each kind of mistake is told from a contradiction, and that comes out."""

import copy
import json

import keras
import pytest

from replication import params, paths
from replication.report import audit, ours
from replication.report import paper as papers
from squeezenet import SqueezeNet

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


def test_every_printed_number_has_a_verdict_or_is_what_the_network_is_built_from(paper, audited):
    left_out = paper[~paper.key.isin(audited.index)]
    built = {"filter", "depth", "kernel", "bits", "squeeze1x1", "expand1x1", "expand3x3"}
    assert set(left_out.quantity) == built and set(left_out["where"]) == {"Table 1", "Table 2"}
    assert set(left_out.printed[left_out.quantity == "bits"]) == {"32"}
    assert audited.index.is_unique
    assert (audited.reading[audited.verdict.isin([ours.HOLDS, ours.SELF, ours.CITED])] != "").all()
    files = {name for name in paper.network if "/" in name}
    assert len(files) == 5 and set(paper.network) - files - {""} < set(params.read("variants", dict))


def test_each_contradiction_has_its_sentence_and_each_sentence_its_contradiction(audited):
    faults, errata = audited[audited.verdict.isin(audit.FAULTS)], papers.table("errata").set_index("key").sentence
    assert set(faults.index) == set(errata.index)
    assert faults.verdict.value_counts().to_dict() == {ours.CONTRADICTED: 2, ours.SELF_NOT: 5}
    assert all(audited.note[key].startswith(sentence.rstrip(".")) for key, sentence in errata.items())
    assert list(audited.index[audited.verdict == ours.SLIP]) == ["Section 2.3/VGG, the shallowest/layers"]
    assert (papers.table("others").source.str.len() > 5).all()


def test_no_unit_gives_the_size_of_the_complex_bypass_nor_of_bypasses_around_all_eight():
    vanilla = SqueezeNet((227, 227, 3))
    fires = [layer for layer in vanilla.layers if isinstance(layer, keras.layers.Concatenate)]
    inputs = [vanilla.get_layer(f"{fire.name}_squeeze1x1").input.shape[-1] for fire in fires]
    more = sum((x + 1) * fire.output.shape[-1] for x, fire in zip(inputs, fires, strict=True))
    for count in (SqueezeNet(use_bypass="complex").count_params(), vanilla.count_params() + more):
        assert not any(audit.agree("7.7", 4 * count / unit, "up") for unit in ours.UNITS.values())


def test_a_bound_holds_where_it_is_reached():
    assert audit.agree(">=80.3", 80.3) == audit.agree("<0.5", 0.47) == "as a bound"


# Planted: a true contradiction of each kind comes out, and a number that is put right agrees


@pytest.mark.parametrize(
    ("key", "printed", "verdict"),
    [
        ("Table 1/fire5/parameters", "49,441", ours.CONTRADICTED),
        ("Table 1/fire5/parameters after pruning", "24,743", ours.SELF_NOT),
        ("Table 1/fire8/kept expand3x3", "30", ours.SELF),
        ("Table 1/conv10/output", "13x13x1000", ours.DESCRIBED),  # unpadded
        ("Table 1/avgpool10/filter", "15x15/1", ours.SELF_NOT),
        ("Table 2/AlexNet, Network Pruning (Han et al. 2015b), 32 bit/size", "29", ours.SLIP),
        ("Table 2/SqueezeNet, none, 32 bit/size", "4.6", ours.CONTRADICTED),
        ("Section 4/Deep Compression compressed SqueezeNet by 10x/ratio", "11", ours.SELF_NOT),
        ("Section 4/33% sparsity, 8 bit/kept in all", "30", ours.CONTRADICTED),
        ("Section 1/FPGA's on-chip memory, footnote, in bits/on-chip memory", "69", ours.SELF_NOT),
        ("Section 3.3/max-pooling after/max-pooled modules", "conv1, fire4, fire8", ours.SELF),
        ("Table 3/complex bypass/size", "6.1", ours.HOLDS),
        ("Section 5.3/plateaus at 85.6% using 50% 3x3 filters/top-5", "85.3", ours.SELF),
        (V11, "0.74", ours.CONTRADICTED),  # between two that exist
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
    assert found.verdict["Table 1/fire2/kept expand3x3"] == ours.CONTRADICTED
