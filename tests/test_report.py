"""The report of the committed evidence: its length and order, pinned sentences, figures, and a user's own run."""

import json
import re

import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from replication import paths
from replication.report import __main__, claims, evidence, figures, page, paper

TEMPLATES = sorted((paths.ROOT / "src/replication/report/templates").glob("*.j2"))


@pytest.fixture(scope="module")
def facts():
    return page.read()._replace(own=pd.DataFrame())


@pytest.fixture(scope="module")
def text(facts):
    return page.render(facts)


@pytest.fixture(scope="module")
def written(facts, tmp_path_factory):
    """The report's folder, written once with all figures, and the figures."""
    folder, drawn = tmp_path_factory.mktemp("reports"), page.draw(facts)
    page.write(facts, drawn, folder)
    return folder, drawn


def test_the_report_is_short_and_in_the_papers_order(text):
    assert len(re.findall(r"\S*\w\S*", text)) <= 5000 and re.findall(r"\n## .*\(Section (\d)\)", text) == [*"34561"]
    findings = text[text.index("## Findings") : text.index("## How")]
    assert len(re.findall(r"^\d\. ", findings, re.MULTILINE)) == 5
    assert (
        findings.count("![") == 1
        and findings.count("\n| ") == 1 + len(paper.table("claims")) > findings.count("\n| **") > 5
    )


def test_templates_have_few_control_tags_no_result_typed_by_hand_and_a_pin_for_every_verdict_that_may_change():
    source = "\n".join(path.read_text() for path in TEMPLATES)
    assert len(re.findall(r"{%-?\s*(?:if|elif|for)\b", source)) <= 15
    prose = re.sub(r"{{.*?}}|{%.*?%}", "", source)
    settings = {"1602.07360", "0.125", "0.75", "1.0", "1.1", "3.1", "3.2"}  # of the paper's networks, and its sections
    assert set(re.findall(r"\d+\.\d+", prose)) <= settings
    assert {*paper.table("claims").query("verdict == ''").id} <= {*re.findall(r'pinned\("([^"]+)"', source)}


def test_a_sentence_whose_verdict_changes_stops_the_rendering_by_name(facts):
    changed = facts.tested.verdict.mask(facts.tested.id == "pct3x3_plateau", claims.REPLICATED)
    other = facts._replace(tested=facts.tested.assign(verdict=changed))
    with pytest.raises(ValueError, match="--draft") as error:
        page.render(other)
    why = "pct3x3_plateau is now 'replicated', not 'no verdict: not every network at its own best rate'"
    for sentence in ("Whether larger values add more", "Neither plateau gets a verdict, as"):  # of both
        assert re.search(rf"\n- {sentence}[^\n]+\n  {re.escape(why)}", str(error.value))
    assert str(error.value).count("\n- ") == 2
    draft = page.render(other, draft=True)
    assert f"**[DRAFT: {why}]** Neither plateau gets a verdict" in draft and draft.count("[DRAFT") == 2


def test_a_sentence_that_the_evidence_has_to_bear_out_is_checked_likewise():
    lost, why = page.checked(1 < 0, "one is below zero"), "it is no longer true that one is below zero"
    verdicts = {"claim": "replicated"}
    assert page.pinned(verdicts, "claim", "replicated") == page.checked(True, "") == ""
    with pytest.raises(ValueError, match=rf"- Two, 1\.5 times\.\n  {why}\n- Two, 1\.5 times\.\n  claim is now"):
        page.refuse(f"One. {lost}{page.pinned(verdicts, 'claim', 'undecided')}Two, 1.5 times. Three.")


def test_every_figure_is_shown(text, written):
    folder, drawn = written
    shown = set(re.findall(r"figures/(\w+)\.svg", text))
    assert shown == set(drawn) == {path.stem for path in (folder / "figures").glob("*.svg")}
    for name, figure in drawn.items():  # written once more, it stays where it is
        assert (folder / f"figures/{name}.svg").read_bytes() == figures.encode(figure)


def test_the_page_needs_no_other_picture_and_no_long_style_sheet(text, written):
    html = (written[0] / "report.html").read_text()
    assert html.count("<h2") == text.count("\n## ") + 1 and html.count("<table>") == len(
        re.findall(r"^\|[:-]", text, re.MULTILINE)
    )
    assert not re.search(r'src="(?!data:)', html)
    assert len((TEMPLATES[0].parent / "page.css").read_text().splitlines()) <= 40


def test_committed_documents_and_tables_are_what_the_evidence_gives(facts, text, written):
    assert (paths.REPORTS / "README.md").read_text() == text, "python -m replication.report"
    for kind in ("figures", "tables"):  # DVC keeps what is no longer written
        assert {p.name for p in (paths.REPORTS / kind).iterdir()} == {p.name for p in (written[0] / kind).iterdir()}
    for path in paths.REPORTS.glob("tables/*.csv"):
        ours, theirs = (pd.read_csv(folder / path.name) for folder in (written[0] / "tables", path.parent))
        pd.testing.assert_frame_equal(ours, theirs, obj=path.name)  # other processors round otherwise
    ours, theirs = (json.loads((folder / "metrics.json").read_text()) for folder in (written[0], paths.REPORTS))
    assert [ours[key] for key in ("audit", "claims")] == [theirs[key] for key in ("audit", "claims")]
    assert __main__.readme(facts) == (paths.ROOT / "README.md").read_text(), "python -m replication.report"


def trained(folder, *variants):
    for i, variant in enumerate(variants):
        row = {"variant": variant, "seed": 42, "dataset": "CIFAR-10", "train_images": 900, "epochs": 2}
        row |= {"accuracy": 0.5 + i / 10, "accuracy_low": 0.4, "accuracy_high": 0.9, "parameters": 700_000}
        (folder / variant).mkdir(parents=True)
        (folder / variant / "metrics.json").write_text(json.dumps(row))
    return evidence.own(folder)


@pytest.mark.parametrize("variants", [(), ("my_network",), ("squeezenet", "my_network", "sr_250")])
def test_a_users_own_run_is_one_table_whatever_there_is_of_it(facts, text, tmp_path, variants):
    own = facts._replace(own=trained(tmp_path, *variants))
    shown = page.render(own, "your_run.md.j2")
    assert page.render(own) == text
    assert re.findall(
        r"^\| `(\w+)`.*900 of CIFAR-10.* [567]0\.0 \[40\.0, 90\.0\].* 700,000 .*$", shown, re.MULTILINE
    ) == sorted(variants)
    assert ("82.0 (20 epochs, 5 seeds)" in shown) == ("squeezenet" in variants)
    assert set(page.metrics(own)["accuracy"]) == set(variants) - {"sr_250"}


def test_counting_the_withdrawn_claims_would_change_no_other_verdict(facts):
    claimed = facts.tested[facts.tested.p.notna() & (facts.tested.run != "photographs")]
    judged, together = claimed.p_holm.notna(), multipletests(claimed.p.astype(float), 0.05, "holm")[0]
    assert (together == (claimed.p_holm < 0.05))[judged].all() and 0 < (~judged).sum() == 9


def test_compressed_files_of_another_training_are_refused(facts, tmp_path, monkeypatch):
    row = json.loads((paths.EVIDENCE / "table3/compress/squeezenet-0.json").read_text())
    (tmp_path / "table3/compress").mkdir(parents=True)
    monkeypatch.setattr(paths, "EVIDENCE", tmp_path)
    for other in ({"seed": 9}, {"params": {}}):
        (tmp_path / "table3/compress/squeezenet-0.json").write_text(json.dumps(row | other))
        with pytest.raises(ValueError, match=r"compress/squeezenet-0\.json does not match runs\.table3"):
            evidence.files("table3", facts.trained("table3"))


# Tables and figures


def test_figures_can_be_read_on_a_small_screen(written):
    """At 400 pixels, letters of 9 points are 9 pixels tall if the figure is 5.5 inches wide."""
    _, drawn = written
    assert all(figure.get_figwidth() <= figures.WIDTH * 1.2 for figure in drawn.values())
    rows = [f"{run}/{name}-?.json" for run in ("photographs", "table3") for name in paper.table("table3").network]
    dots = [len(list(paths.EVIDENCE.glob(row))) for row in rows]
    seeds = "-".join(map(str, sorted(set(dots[:3]))))
    titles = ["Paper: ImageNet", f"Ours: Imagenette, 40 epochs, {seeds} seeds", "Ours: CIFAR-10, 20 epochs, 5 seeds"]
    assert [" ".join(axis.get_title().split()) for axis in drawn["table3"].axes] == titles
    assert [len(points.get_offsets()) for axis in drawn["table3"].axes for points in axis.collections] == dots
    for axis, sums in zip(drawn["figure2_macroarchitectures"].axes, (0, 4, 8), strict=True):
        assert [text.get_text() for text in axis.texts].count("+") == sums


def test_what_stands_between_the_markers_is_renewed():
    assert __main__.renew("a <!-- x --> old <!-- /x --> b", "x", "new\n") == "a <!-- x -->\n\nnew\n\n<!-- /x --> b"
    with pytest.raises(ValueError, match="restore the markers <!-- x -->"):
        __main__.renew("a <!-- x --> old", "x", "new")
