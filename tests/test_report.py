"""The report, on fabricated trainings: tables, figures, page, and any subset of the networks."""

import json
import re

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from fabricated import authors as fabricated_authors
from fabricated import compressed, run

from replication import params, paths, results
from replication.evidence import gathered
from replication.report import __main__, audit, claims, comparison, figures, page, readings, summaries, tables

VARIANTS = params.read("variants", dict[str, dict])
SUBSET = ("squeezenet", "simple_bypass", "complex_bypass", "sr_500", "half_width")
PAPER, CITED = audit.read_paper(paths.PAPER), audit.read_cited(paths.PAPER)
WANTED = pd.read_csv(paths.PAPER / "claims.csv", dtype=str, keep_default_na=False)
OTHERS = pd.read_csv(paths.PAPER / "others.csv", dtype=str, keep_default_na=False)
COMPRESSED = {
    "alexnet": compressed("alexnet", [("none", 32, 8e7, 0.7), ("SVD", 32, 2e7, 0.6)]),
    "squeezenet": compressed(
        "squeezenet",
        [("none", 32, 3e6, 0.6), ("Deep Compression", 6, 3e5, 0.61), ("none, retrained and fine-tuned", 32, 3e6, 0.64)],
    ),
}
AUDITED = {}


@pytest.fixture(scope="module")
def authors():
    return fabricated_authors(PAPER, CITED, VARIANTS)


def find(authors, variants, seeds=(42,), longer=(), rates=(), compression=None):
    """All that the report tells, of made-up trainings."""
    chosen = {name: VARIANTS[name] for name in variants}
    runs = [run(variants, seeds), *longer]
    others = summaries.Others(compression or {}, authors, None, None)
    files = [claims.compressed({runs[0].seeds[0]: compression}, runs[0])] if compression else []
    if tuple(variants) not in AUDITED:
        AUDITED[tuple(variants)] = audit.audit(PAPER, CITED, chosen, authors)
    audited = AUDITED[tuple(variants)]
    tested = claims.assess(WANTED, runs, files, PAPER)
    recipe = params.read("train", dict)
    found = gathered.Gathered(list(longer), {}, pd.DataFrame(rates), ["figure3"], ["squeezenet-1-1"])
    return page.Found(chosen, recipe, PAPER, runs, files, others, audited, tested, found, OTHERS)


def write(ours, folder):
    frames = {"audit": ours.audited, "claims": ours.tested, "spread": comparison.spread(ours.runs)}
    page.write(ours, page.draw(ours), page.draw(ours, narrow=True), frames, folder)
    return folder


def longer(**options):
    """Runs of more epochs, in which bypasses help."""
    accuracy = {"squeezenet": 0.80, "simple_bypass": 0.86, "complex_bypass": 0.84}
    return [
        run(accuracy, (0, 1, 2), 20, accuracy, 1000, "table3", 1),
        run(("squeezenet", "simple_bypass"), (0, 1), 60, accuracy, 1000, "length", 2),
    ]


# The page


@pytest.mark.parametrize(
    ("variants", "seeds"), [(SUBSET, (42,)), (("half_width",), (1,)), (("sr_500", "simple_bypass"), (1, 2))]
)
def test_any_subset_of_the_variants_makes_a_report(tmp_path, authors, variants, seeds):
    folder = write(find(authors, variants, seeds), tmp_path / "reports")
    text = (folder / "README.md").read_text()
    for link in re.findall(r"\]\(((?:figures|tables)/[^)]+)\)", text):
        assert (folder / link).exists(), link
    networks = text[text.index("## All networks") :]
    networks = re.sub(" +", " ", networks[: networks.index("\n## ")])
    for variant in VARIANTS:
        assert (f"| `{variant}` |" in networks) == (variant in variants)
    conditions = f"CIFAR-10, 900 training images, 1 epoch, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    assert 1 <= text.count(conditions) <= 6  # said once a section
    html = (folder / "report.html").read_text()
    assert len(html) < 5e6 and "nan" not in re.sub(r"base64,[^\"]+", "", html).split()
    assert not re.search(r'(src|srcset|href)="(?!data:|#|https://arxiv\.org)', html)  # needs no other file
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["accuracy"]) == list(variants)


def test_metrics_are_few():
    summary = pd.DataFrame({"variant": list(VARIANTS), "accuracy": 50.0})
    audited = pd.DataFrame({"verdict": list(readings.VERDICTS)})
    every = (
        claims.REPLICATED,
        claims.OPPOSITE,
        claims.UNDECIDED,
        claims.TOWARDS,
        claims.AGAINST,
        claims.NOT_TESTED,
    )
    metrics = summaries.metrics_of(summary, audited, pd.DataFrame({"verdict": every}))
    assert sum(len(values) for values in metrics.values()) <= 40
    assert metrics["audit"] == {"as_built": 1, "contradicted": 1, "holds": 4, "open": 4}
    assert "seconds" not in json.dumps(metrics)


def test_the_head_says_what_holds_and_what_is_open(tmp_path, authors):
    ours = find(authors, SUBSET, longer=longer())
    text = page.render(ours, {})
    head = text[: text.index("## Verdicts")]
    lines = dict(re.findall(r"^- \*\*(\w+)(.*)$", head, re.M))
    assert list(lines) == ["Holds", "Against", "Open", "Rests"]
    assert "simple bypass" in lines["Holds"] and "*as built*, which is no test" in lines["Holds"]
    assert "imagenet" in lines["Open"]
    leaning = page.render(ours._replace(tested=ours.tested.assign(verdict=claims.AGAINST)), {})
    assert re.findall(r"^- \*\*(\w+)", leaning, re.M)[:5] == ["Holds", "Against", "Leans", "Open", "Rests"]
    assert "- **Leans**, on one seed. Towards the paper: none. Against it: squeeze ratio" in leaning


def test_the_page_has_its_details_figures_and_fixed_column(authors):
    ours = find(authors, SUBSET, longer=longer())
    drawn = {"figure3a_squeeze_ratio": None}
    html = page.html(
        page.render(ours, drawn, drawn, page=True),
        {"figure3a_squeeze_ratio": b"a", "figure3a_squeeze_ratio_narrow": b"b"},
    )
    assert html.count("<details") == 2 and "<summary>All " in html
    assert "position: sticky" in html and '<div class="toc">' in html
    assert '<source media="(max-width: 40rem)" srcset="data:' in html and 'type="checkbox"' in html
    assert html.index("The paper's claims") < html.index("<img") < html.index("<details")


def test_a_report_is_the_same_bytes_again(tmp_path, authors):
    first, second = (write(find(authors, ("half_width",)), tmp_path / name) for name in "ab")
    for file in sorted(path for path in first.rglob("*") if path.is_file()):
        assert file.read_bytes() == (second / file.relative_to(first)).read_bytes(), file.name


def test_prose_stands_in_the_template():
    """No sentence of the report in a module: a string literal of many words is a docstring, an error or a note."""
    source = (paths.ROOT / "src/replication/report/page.py").read_text()
    assert "CIFAR" not in source and "##" not in source


# Longer runs


def test_longer_runs_answer_where_they_are_whole(authors):
    ours = find(authors, SUBSET, longer=longer())
    tested = ours.tested.set_index("id")
    assert tested.run["simple_bypass"] == tested.run["complex_bypass"] == "table3"  # two seeds are too few
    text = re.sub(" +", " ", page.render(ours, {}))
    assert "Ours: CIFAR-10, 900 training images, 20 epochs, seeds 0, 1, 2; beside it" in text  # Table 3
    table = tables.table3(ours.audited, PAPER, ours.runs).set_index("architecture")
    assert table["top-1, %, ours"]["vanilla"].startswith("80.") and table["on the laptop"]["vanilla"].startswith("60.")
    every = tables.networks(PAPER, ours.runs).set_index("network")
    assert every["epochs x seeds"]["`simple_bypass`"] == "20 x 3" and every["longer, %"]["`half_width`"] == "-"
    incomplete = [each._replace(seeds=[0, 1, 2, 3]) for each in longer()]
    assert summaries.strongest_of_each(["squeezenet"], [ours.runs[0], *incomplete]).run.unique() == ["laptop"]


def test_effect_against_training_length(authors):
    ours = find(authors, SUBSET, longer=longer())
    effects = ours.lengths.set_index(["bypass", "epochs"])
    assert list(effects.loc["simple_bypass"].index) == [20, 60]
    row = effects.loc[("simple_bypass", 20)]
    assert row.effect == pytest.approx(6, abs=0.5) and row.low < 6 < row.high and row.seeds == 3
    claim = ours.tested.set_index("id").loc["simple_bypass"]
    assert (row.low, row.high) == pytest.approx((claim.low, claim.high))  # one difference, one interval
    assert "effect_against_length" in page.draw(ours, narrow=True)
    assert "effect_against_length" not in page.draw(find(authors, SUBSET), narrow=True)
    plt.close("all")


def test_agreement_of_the_rankings():
    names = [f"n{i}" for i in range(6)]
    same = {name: 0.5 + 0.05 * i for i, name in enumerate(names)}
    other = same | {"n4": 0.75, "n5": 0.70}
    runs = [run(names, accuracy=same, images=2000), run(names, (0, 1), 20, other, 2000, "long")]
    (row,) = summaries.ranking(runs).itertuples()
    assert row.rho == pytest.approx(1 - 6 * 2 / (6 * 35)) and row.low < row.rho < row.high and row.networks == 6
    assert summaries.ranking(runs[:1]).empty


def test_no_panel_of_curves_has_more_than_five_networks():
    history = summaries.curves(PAPER, run(list(VARIANTS)))
    assert history.groupby("panel").variant.nunique().max() <= summaries.MOST_CURVES
    assert set(history.variant) == set(VARIANTS) and history.family.nunique() <= 5  # a colour each in `dvc plots`


def test_every_longer_training_stands_with_its_provenance(authors):
    ours = find(authors, SUBSET, longer=longer())
    assert list(tables.spread(ours.runs).run) == ["table3", "length"] and tables.spread(ours.runs[:1]).empty
    assert "Brown-Forsythe" in page.render(ours, {})
    table = tables.evidence(ours.runs)
    assert len(table) == 9 + 4 and {"commit", "versions", "on", "minutes"} <= set(table)
    assert tables.trained_by(ours.runs).networks.tolist() == ["all"] * 2 and tables.backends(ours.runs).empty


def test_two_backends_are_compared_over_the_seeds_of_the_networks_that_both_trained():
    first, second = (run(["a", name], range(3), 20, name=name) for name in ("b", "c"))
    second.trainings["backend"] = "jax"
    second.trainings["accuracy"] = first.trainings.accuracy = [0.6, 0.61, 0.62] * 2
    second.trainings["accuracy"] -= 0.02
    row = tables.backends([run("abc"), first, second]).iloc[0]
    assert row["top-1, %"] == "jax 59.0 (3 seeds), tensorflow 61.0 (3 seeds)" and row.epochs == 20
    assert row["second minus first, points"] == "+2.0 [-0.3, +4.3]"  # of Student's t at 4 degrees: 2.776 x sqrt(2 / 3)


# Tables


def test_our_rows_of_table_2_stand_beside_the_papers_and_their_control(authors):
    ours = find(authors, ("squeezenet", "alexnet"), compression=COMPRESSED)
    rows = tables.compression(ours.compressed, PAPER).set_index(["network", "compression"])
    row = rows.loc[("`squeezenet`", "Deep Compression, 6 bit")]
    assert (row["bytes, ours"], row["MB, paper"], row["paper"], row["ImageNet, paper"]) == (
        "300,000",
        "0.47",
        "510x",
        "57.5",
    )
    assert row["change, points"].startswith("-3.0 [")  # against the control, not the network as trained
    assert rows.loc[("`alexnet`", "SVD")]["change, points"].startswith("-10.0 [")
    more = claims.compressed({seed: {"squeezenet": COMPRESSED["squeezenet"]} for seed in (0, 1, 2)}, longer()[0])
    rows = tables.compression([*ours.compressed, more], PAPER).set_index(["network", "compression"])
    assert rows.index.is_unique and rows.loc["`alexnet`"].run.unique() == ["laptop, 1 seed"]
    assert rows.loc["`squeezenet`"].run.unique() == ["table3, 3 seeds"]
    assert rows.loc[("`squeezenet`", "none, retrained and fine-tuned")]["MB, paper"] == "-"


def test_a_step_of_compression_has_one_colour_in_every_panel():
    steps = pd.concat([pd.DataFrame(each["steps"]) for each in COMPRESSED.values()])
    for narrow in (False, True):
        figure = figures.compression(steps, "CIFAR-10", narrow)
        left = [axis for axis in figure.axes if axis.get_ylabel() == "validation accuracy, %"]
        colours = [[tuple(dots.get_facecolor()[0]) for dots in axis.collections] for axis in left]
        assert len(left) == 2 and colours[0] == colours[1]
        columns = {round(axis.get_position().x0, 1) for axis in figure.axes}
        assert len(columns) == (1 if narrow else 2)
        figures.encode(figure)


def test_uncompressed_squeezenet_stands_beside_compressed_alexnet(authors):
    files = dict(COMPRESSED)
    files["alexnet"] = compressed("alexnet", [("none", 32, 8e7, 0.7), ("Deep Compression", "5-8", 2.9e6, 0.7)])
    text = page.render(find(authors, ("squeezenet", "alexnet"), compression=files), {})
    assert "it takes 3,000,000 against 2,900,000 bytes, 0.97x; both trained on for as long" in text
    assert "the difference in accuracy is -6.0 [" in text  # from the control
    assert "of ImageNet's networks the audit has 1.4x, under a stated reading." in text


def test_the_rates():
    rows = [
        {"variant": name, "learning_rate": rate, "epochs": 2, "seed": 0, "validation_accuracy": 0.5 + rate * sign}
        for name, sign in (("squeezenet", 1), ("alexnet", -1))
        for rate in (0.06, 0.12)
    ]
    table = tables.rates(pd.DataFrame(rows), VARIANTS, 0.12).set_index("network")
    assert list(table.loc["`squeezenet`"]) == ["56.0", "**62.0**", "0.12"]
    assert list(table.loc["`alexnet`"]) == ["**44.0**", "38.0", f"{VARIANTS['alexnet']['learning_rate']:g}"]
    assert tables.rates(pd.DataFrame(), VARIANTS, 0.12).network.item() == "-"


def test_the_authors_weights_in_our_files(authors):
    row = tables.authors(authors).iloc[-1]
    assert (row.bits, row.bytes, row["same first class, % of 100 (CIFAR-10)"]) == (6, "469,531", "76.0 [66.8, 83.3]")


def test_imagenet_is_measured_or_said_to_be_missing():
    measured = {"images": 50_000} | {f"top{k}{end}": 0.5 for k in (1, 5) for end in ("", "_low", "_high")}
    stage = {"networks": ["squeezenet", "simple_bypass", "squeezenet_11"], "missing": {"squeezenet": "no file"}}
    table = tables.imagenet(stage | {"evaluated": {"squeezenet_11": measured}}, PAPER, OTHERS)
    ours = table[table.who.str.startswith("ours")].set_index("network")
    assert ours.how["`squeezenet`"] == "no file" and ours.how["`simple_bypass`"].startswith(
        "not run: no ImageNet folder"
    )
    assert ours.how["`squeezenet_11`"] == "50,000 images" and ours["top-1, %"]["`squeezenet_11`"] == "50.0 [50.0, 50.0]"
    assert {"torchvision", "imgclsmob", "authors' DSD", "authors' residual", "xevolesi"} <= set(table.who)


def test_exports_stand_beside_keras(authors):
    row = {"data": "ImageNet", "network": "squeezenet_1_1", "format": "ONNX"}
    shares = {"agreement": 0.9, "agreement_low": 0.8, "agreement_high": 1.0}
    found = row | shares | {"bytes": 4_960_921, "images": 60, "difference": 0.0000012}
    export = {"rows": [found], "missing": {"squeezenet, ImageNet": "no file"}}
    timed = {"times": [row | {"ms_low": 7.9, "ms": 8.1, "ms_high": 8.5}], "hardware": "a machine"}
    ours = find(authors, ("half_width",))
    text = page.render(ours._replace(others=ours.others._replace(export=export, timed=timed)), {"exports"})
    line = "| `squeezenet_1_1` | ONNX | 4,960,921 | 60 | - | 90.0 [80.0, 100.0] | 0.000001 | 8.10 [7.90, 8.50] |"
    assert line in re.sub(" +", " ", text) and "figures/exports.svg" in text
    assert "on one thread of a machine" in text and "- Left out: squeezenet, ImageNet. no file" in text
    assert "Stage `export` has not run." in page.render(ours, {})


def test_numbers_are_aligned_right():
    frame = pd.DataFrame({"name": ["1"], "n": ["1,234"], "interval": ["1.0 [0.5, 1.5]"], "text": ["a 1"]})
    assert tables.markdown(frame).splitlines()[1].count(":|") == 2


# README.md and docs/


def test_documents_show_the_findings_and_the_departures():
    made = __main__.documents()
    for document, text in made.items():
        assert document.read_text() == text, f"{document.name} is stale: python -m replication.report"
    assert "| the paper | here | why |" in made[paths.ROOT / "docs/recipe.md"]


def test_what_stands_between_the_markers_is_renewed():
    assert __main__.renew("a <!-- x --> old <!-- /x --> b", "x", "new\n") == "a <!-- x -->\n\nnew\n\n<!-- /x --> b"
    with pytest.raises(ValueError, match="/x --> have to enclose"):
        __main__.renew("a <!-- x --> old", "x", "new")


def test_the_notebook_is_committed_clean():
    notebook = nbformat.read(paths.NOTEBOOKS / "report.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].metadata.tags == ["parameters"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(cell.outputs or cell.execution_count for cell in code)


def test_only_the_variants_and_seeds_asked_for_are_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="dvc repro train@squeezenet"):
        results.read(["squeezenet"], [2], tmp_path)
