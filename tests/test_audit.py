"""The audit: every fair reading is tried, each kind of mistake is told from a contradiction, and that comes out."""

import copy

import pandas as pd
import pytest
from fabricated import authors as fabricated_authors

from replication import params, paths
from replication.report import audit, readings
from replication.report.readings import Found, Reading

VARIANTS = params.read("variants", dict[str, dict])
KEY = ["where", "subject", "quantity"]


@pytest.fixture(scope="module")
def paper():
    return audit.read_paper(paths.PAPER)


@pytest.fixture(scope="module")
def cited():
    return audit.read_cited(paths.PAPER)


@pytest.fixture(scope="module")
def authors(paper, cited):
    return fabricated_authors(paper, cited, VARIANTS)


@pytest.fixture(scope="module")
def audited(paper, cited, authors):
    return audit.audit(paper, cited, VARIANTS, authors)


def row_of(frame, *key):
    rows = frame[(frame[KEY] == list(key)).all(axis=1)]
    assert len(rows) == 1, key
    return rows.iloc[0]


def planted(paper, cited, authors, key, printed):
    """The audit's row of a number of the paper that is changed."""
    changed = paper.copy()
    row = (paper[KEY] == list(key)).all(axis=1)
    assert row.sum() == 1
    changed.loc[row, "printed"] = printed
    context = changed["where"].isin(["Table 1", "Table 2", "Section 1", "Section 5.2", key[0]])
    context |= changed["where"].str.startswith("Figure 3")
    return row_of(audit.audit(changed[context], cited, VARIANTS, authors), *key)


# What the audit says


def test_every_printed_number_says_where_it_stands(paper, audited):
    assert len(audited) == len(paper) >= 290
    assert (paper[["where", "subject", "quantity", "printed"]] != "").all(axis=None)
    assert set(paper.variant) | set(paper.reference) <= {"", *VARIANTS}
    assert set(audited.verdict) <= set(readings.VERDICTS)
    assert (audited.how != "").all()
    assert (audited.reading[audited.verdict == readings.STATED] != "").all()  # a stated reading is stated


def test_the_surviving_contradictions(audited):
    rows = audited[audited.verdict == readings.CONTRADICTED]
    assert set(rows[KEY].itertuples(index=False, name=None)) == {
        ("Table 1", "input", "output"),
        ("Table 1", "fire8", "kept, expand3x3"),
        ("Table 1", "maxpool8", "output"),
        ("Table 1", "conv10", "kernel in the sparsity column"),
        ("Table 3", "complex bypass", "size"),
        ("Section 2.3", "VGG, the shallowest", "layers"),
        ("Section 3.3", "max-pooling after", "max-pooled modules"),
        ("Section 5.3", "plateaus at 85.6% using 50% 3x3 filters", "top-5 in the figure"),
    }
    assert (rows.note != "").all()  # each says what was tried
    assert set(rows.source) == {"printed"}


def test_nothing_drawn_contradicts(audited):
    drawn = audited[audited.source == "drawn"]
    assert len(drawn) == 16 and set(drawn.verdict) == {readings.DRAWN}
    assert set(drawn["where"]) == {"Figure 3(a)", "Figure 3(b)"}
    sizes = drawn[drawn.quantity == "size"]
    assert len(sizes) == 8 and sizes.note.str.contains("agrees").all()  # rounded up, or to the nearest


def test_what_is_read_back_from_the_model_is_no_test(audited):
    built = audited[audited.how == readings.BUILT]
    assert set(built.verdict) == {readings.AS_BUILT, readings.CONTRADICTED}
    assert {"filters", "base_e", "dropout", "channels", "kernel ratio", "squeeze by expand"} <= set(
        built.quantity.str.partition(",")[0]
    )
    assert not (audited[audited.how != readings.BUILT].verdict == readings.AS_BUILT).any()


def test_needs_imagenet_only_where_imagenet_would_answer(audited):
    needs = audited[audited.verdict == readings.NEEDS_IMAGENET]
    assert set(needs.quantity.str.partition(",")[0]) == {"top-1", "top-5", "gain by DSD", "loss by Ristretto"}
    bits = audited[(audited.quantity == "bits") & (audited.printed == "6")]
    assert set(bits.verdict) == {readings.NEEDS_FILE}


@pytest.mark.parametrize(
    ("key", "verdict", "words"),
    [
        (("Table 2", "SqueezeNet", "size ratio"), readings.STATED, "240 by 4.8 MB"),
        (("Table 2", "SqueezeNet, Deep Compression, 8 bit", "size ratio"), readings.STATED, "rounded down"),
        (("Table 2", "AlexNet", "size"), readings.STATED, "2 significant digits"),
        (("Table 2", "AlexNet, SVD (Denton et al. 2014)", "size"), readings.ROUNDED, "MB of 10^6 bytes"),
        (("Table 2", "AlexNet, Network Pruning (Han et al. 2015b)", "size"), readings.ROUNDED, "MB of 10^6 bytes"),
        (("Table 2", "AlexNet, Deep Compression (Han et al. 2015a)", "size"), readings.ATTAINABLE, ""),
        (("Table 2", "AlexNet, Deep Compression (Han et al. 2015a)", "bits"), readings.EXACT, ""),
        (("Table 2", "SqueezeNet, Deep Compression, 6 bit", "size"), readings.ATTAINABLE, ""),
        (("Title", "<0.5MB model size", "size"), readings.ATTAINABLE, ""),
        (("Abstract", "510x smaller than AlexNet", "size ratio"), readings.ATTAINABLE, ""),
        (("Section 4", "Deep Compression compressed SqueezeNet by 10x", "size ratio"), readings.ATTAINABLE, ""),
        (("Figure 3(a)", "SR 0.75", "size"), readings.STATED, "MiB of 2^20 bytes, rounded up"),
        (("Section 3.2", "s1x1 is less than e1x1 + e3x3", "squeeze by expand"), readings.AS_BUILT, ""),
        (("README of v1.1", "v1.1, computation", "computation"), readings.ATTAINABLE, "some pools round up"),
        (("README of v1.1", "2.4x less computation", "computation ratio"), readings.STATED, "pools round down"),
        (("Section 4", "footnote: somewhat less than 3x by 33% sparsity", "speedup by sparsity"), readings.EXACT, ""),
        (("Section 7", "Dense-Sparse-Dense, uncompressed", "gain by DSD, top-1"), readings.ROUNDED, ""),
    ],
)
def test_a_number_holds_in_a_reading_that_the_row_names(audited, key, verdict, words):
    row = row_of(audited, *key)
    assert row.verdict == verdict and words in row.reading


def test_bytes_stand_beside_a_ratio_of_printed_sizes(audited):
    assert "by bytes 48.83" in row_of(audited, "Table 2", "SqueezeNet", "size ratio").note


def test_our_own_file_attains_the_size(audited):
    row = row_of(audited, "Table 2", "SqueezeNet, Deep Compression, 6 bit", "size")
    assert (row.ours, row.how) == ("0.4695", readings.MEASURED) and "469,531 bytes" in row.note


def test_a_share_of_100_is_judged_by_the_network_that_the_table_speaks_of(paper, cited, authors):
    """In the 8-bit file some weights of unpruned layers fell on code 0."""
    file = copy.deepcopy(authors)
    file["layers"]["conv1"]["nonzero"] -= 200
    row = row_of(audit.audit(paper[paper["where"] == "Table 1"], cited, VARIANTS, file), "Table 1", "conv1", "kept")
    assert row.verdict == readings.STATED and row.reading.startswith("by the row's own parameters after pruning")


def test_without_the_authors_file(paper, cited):
    rows = audit.audit(paper[paper["where"].isin(["Table 1", "Table 2"])], cited, VARIANTS)
    row = row_of(rows, "Table 1", "fire8", "kept, expand3x3")
    assert (row.ours, row.how, row.verdict) == ("30", readings.PRINTED, readings.CONTRADICTED)
    assert row_of(rows, "Table 1", "fire8", "parameters after pruning").verdict == readings.STATED
    assert row_of(rows, "Table 1", "fire2", "kept, squeeze1x1").verdict == readings.EXACT
    assert row_of(rows, "Table 2", "SqueezeNet, Deep Compression, 6 bit", "size").verdict == readings.NEEDS_FILE


def test_imagenet_answers_where_it_is_here(paper, cited):
    """As stage `imagenet` leaves it: 57.5% of 50,000 images within the interval, 80.3% outside."""
    found = {"images": 50000, "top1_low": 0.571, "top1_high": 0.58, "top5_low": 0.781, "top5_high": 0.788}
    table = paper[paper["where"] == "Table 2"]
    rows = audit.audit(table, cited, VARIANTS, imagenet={"evaluated": {"squeezenet": found}})
    top1, top5 = (row_of(rows, "Table 2", "SqueezeNet", key) for key in ("top-1", "top-5"))
    assert (top1.verdict, top1.reading) == (readings.STATED, "the 95% interval of 50,000 images")
    assert (top5.verdict, top5.how) == (readings.CONTRADICTED, readings.EVALUATED)
    assert row_of(rows, "Table 2", "AlexNet", "top-1").verdict == readings.NEEDS_IMAGENET


def test_the_papers_mb_is_mib_rounded_up(paper):
    units = audit.size_units(paper, VARIANTS).set_index(["unit", "rounded"]).fits
    assert units["MiB = 2^20 bytes", "up"] == 6 and units["MiB = 2^20 bytes", "to nearest"] == 3
    assert units["MB = 10^6 bytes", "up"] == 0 and units.drop(("MiB = 2^20 bytes", "up")).max() < 6


# Planted: a true contradiction of each kind comes out, and a number that is put right holds


@pytest.mark.parametrize(
    ("key", "printed", "verdict"),
    [
        (("Table 1", "fire5", "parameters"), "49,441", readings.CONTRADICTED),
        (("Table 1", "fire5", "parameters after pruning"), "24,743", readings.CONTRADICTED),
        (("Table 1", "fire5", "kept, expand3x3"), "35", readings.CONTRADICTED),
        (("Table 1", "fire5", "filters, expand3x3"), "129", readings.CONTRADICTED),
        (("Table 1", "maxpool8", "output"), "13x13x512", readings.EXACT),
        (("Table 2", "AlexNet", "size"), "250", readings.CONTRADICTED),
        (("Table 2", "AlexNet, Network Pruning (Han et al. 2015b)", "size"), "29", readings.CONTRADICTED),
        (("Table 2", "AlexNet, Deep Compression (Han et al. 2015a)", "size"), "4.9", readings.CONTRADICTED),
        (("Table 2", "AlexNet, Deep Compression (Han et al. 2015a)", "bits"), "4-8", readings.CONTRADICTED),
        (("Table 2", "SqueezeNet", "size"), "4.6", readings.CONTRADICTED),
        (("Table 2", "SqueezeNet, Deep Compression, 6 bit", "size"), "0.27", readings.CONTRADICTED),
        (("Title", "<0.5MB model size", "size"), "<0.3", readings.CONTRADICTED),
        (("Abstract", "510x smaller than AlexNet", "size ratio"), "910", readings.CONTRADICTED),
        (("Section 4", "363x smaller than 32-bit AlexNet", "size ratio"), "373", readings.CONTRADICTED),
        (("Section 4", "Deep Compression compressed SqueezeNet by 10x", "size ratio"), "20", readings.CONTRADICTED),
        (("Abstract", "50x fewer parameters", "parameter ratio"), "60", readings.CONTRADICTED),
        (("Section 4", "33% sparsity, 8 bit", "kept in all"), "30", readings.CONTRADICTED),
        (("Section 4", "speedup at 6 bit", "bit ratio"), "5.5", readings.CONTRADICTED),
        (("Section 1", "FPGA's on-chip memory, footnote", "on-chip memory"), "8.6", readings.CONTRADICTED),
        (("Section 3.1", "the majority of the filters are 1x1", "share of 1x1 filters"), ">80", readings.CONTRADICTED),
        (("Section 2.3", "ResNet against the same network without bypasses", "gain by residual connections"), "4",
         readings.CONTRADICTED),
        (("Table 3", "complex bypass", "size"), "6.1", readings.STATED),
        (("Figure 3(a)", "SR 0.75", "size"), "18.3", readings.CONTRADICTED),
        (("Figure 3(a)", "SR 0.25", "size"), "9.9", readings.DRAWN),
        (("Figure 3(a)", "SR 0.5", "top-5"), "85.4", readings.CONTRADICTED),
        (("Section 5.3", "plateaus at 85.6% using 50% 3x3 filters", "top-5 in the figure"), "85.3", readings.EXACT),
        (("README of v1.1", "v1.1, computation", "computation"), "0.78", readings.STATED),
        (("README of v1.1", "v1.1, computation", "computation"), "0.71", readings.STATED),
        (("README of v1.1", "v1.0, computation", "computation"), "1.92", readings.CONTRADICTED),
        (("README of v1.1", "2.4x less computation", "computation ratio"), "3.4", readings.CONTRADICTED),
    ],
)  # fmt: skip
def test_a_changed_number_of_the_paper_changes_its_verdict(paper, cited, authors, key, printed, verdict):
    assert planted(paper, cited, authors, key, printed).verdict == verdict


def test_a_changed_file_of_the_authors_changes_its_verdict(paper, cited, authors):
    file = copy.deepcopy(authors)
    file["layers"]["fire2_expand3x3"]["nonzero"] *= 2
    other = paper.assign(printed=paper.printed.replace("5,746", "9,000"))  # nor does the row's own count agree any more
    rows = audit.audit(other[other["where"] == "Table 1"], cited, VARIANTS, file)
    assert row_of(rows, "Table 1", "fire2", "kept, expand3x3").verdict == readings.CONTRADICTED


# How one number is judged


@pytest.mark.parametrize(
    ("printed", "ours", "cut", "verdict"),
    [
        ("1,248,424", 1248424, "", readings.EXACT),
        ("1,248,424", 1248425, "", readings.CONTRADICTED),
        ("4.8", 4.762, "", readings.ROUNDED),
        ("4.8", 4.69, "up", readings.CONTRADICTED),
        ("4.8", 4.71, "", readings.CONTRADICTED),
        ("4.8", 4.71, "up", readings.STATED),
        ("4.8", 4.86, "up", readings.CONTRADICTED),
        ("363", 363.6, "down", readings.STATED),
        ("50", 48.83, "", readings.CONTRADICTED),
        ("50", 48.83, "down", readings.STATED),
        ("50", 44.0, "down", readings.CONTRADICTED),
        ("10", 9.08, "down", readings.STATED),
        ("<0.5", 0.47, "", readings.EXACT),
        ("<0.5", 0.52, "", readings.CONTRADICTED),
        (">=80.3", 80.3, "", readings.EXACT),
        ("0.47", (0.42, 0.55), "", readings.EXACT),
        ("0.40", (0.42, 0.55), "", readings.CONTRADICTED),
        ("13x12x512", "13x13x512", "", readings.CONTRADICTED),
    ],
)
def test_judge(printed, ours, cut, verdict):
    assert readings.judge(printed, Found([Reading(ours)], cut=cut)).verdict == verdict


def test_the_first_reading_that_fits_decides():
    found = Found([Reading(3.0, "one way", False), Reading(5.0, "another", False)])
    judged = readings.judge("5", found)
    assert (judged.ours, judged.reading, judged.verdict) == (5.0, "another", readings.STATED)
    assert readings.judge("4", found).verdict == readings.CONTRADICTED
    assert readings.judge("5", Found([], verdict=readings.NEEDS_IMAGENET)).verdict == readings.NEEDS_IMAGENET


def test_a_quantity_that_nothing_measures_is_an_error(paper, cited):
    with pytest.raises(ValueError, match="nothing measures 'colour'"):
        audit.audit(paper.head(1).assign(quantity="colour"), cited, VARIANTS)


def test_cited_numbers_say_where_they_stand():
    for name in ("cited", "others"):
        assert (pd.read_csv(paths.PAPER / f"{name}.csv", dtype=str).source.str.len() > 5).all()
