"""The report as Markdown and as one HTML page, from templates/ and the frames of `tables`, with its figures."""

import base64
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import jinja2
import markdown
import nbformat
import pandas as pd

from replication import paths
from replication.evidence import gathered
from replication.report import advantages, answers, audit, benchmarks, claims, figures, readings, summaries, tables
from replication.results import conditions, strongest
from squeezenet import costs, models

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"table": tables.markdown, "percent": tables.percent}
KNOBS = {  # a panel of Figure 3 -> its name, and what the labels beside its points are
    "Figure 3(a)": ("figure3a_squeeze_ratio", "squeeze ratio"),
    "Figure 3(b)": ("figure3b_pct3x3", "share of 3x3 among the expand filters"),
}


class Found(NamedTuple):
    """All that the report tells.

    Attributes:
        variants: name -> entry of params.yaml.
        recipe: section train of params.yaml, as a dictionary.
        paper: of `audit.read_paper`.
        runs: `results.Run`s, the laptop's first.
        compressed: `claims.compressed` runs, the laptop's first; or none.
        others: `summaries.Others`.
        audited, tested: of `audit.audit` and `claims.assess`.
        longer: `gathered.Gathered`.
        imagenet: what others found on ImageNet, as a frame.
        measured: `advantages.Advantages`.
        timed: of `benchmarks.read`.
    """

    variants: dict
    recipe: dict
    paper: pd.DataFrame
    runs: list
    compressed: list
    others: summaries.Others
    audited: pd.DataFrame
    tested: pd.DataFrame
    longer: gathered.Gathered
    imagenet: pd.DataFrame
    measured: advantages.Advantages = advantages.Advantages()
    timed: Mapping = MappingProxyType({})

    @property
    def laptop(self):
        return summaries.summarise(self.runs[0].trainings, self.paper)

    @property
    def lengths(self):
        bypasses = self.paper.variant[self.paper["where"] == "Table 3"].unique()[1:]
        return summaries.lengths([name for name in bypasses if name in self.variants], self.runs[1:])  # of one recipe

    def panel(self, place):
        """Names of our networks in a table or figure of the paper."""
        names = self.paper.variant[self.paper["where"] == place].unique()
        return [name for name in names if name in self.variants]


def figure3(found, place):
    """The paper's points of one panel of Figure 3, ours for the same networks, and each of our trainings."""
    part = found.paper[found.paper["where"] == place]
    points = part[["subject", "variant", "source"]].drop_duplicates("subject").set_index("subject")
    points = points.join(part.pivot(index="subject", columns="quantity", values="printed").astype(float)).reset_index()
    points = points.rename(columns={"top-5": "accuracy"}).assign(label=points.subject.str.extract(r"([\d.]+%?)")[0])
    run = strongest(found.panel(place), found.runs)
    ours = points[["label", "variant"]].merge(summaries.summarise(run.trainings, found.paper), on="variant")
    seeds = run.trainings.assign(accuracy=100 * run.trainings.accuracy)
    return points, ours, seeds.assign(mebibytes=costs.mebibytes(seeds.parameters))


def draw(found, narrow=False):
    """Every figure of the report that there is something for: name -> matplotlib figure.

    Args:
        narrow: panels below each other, and only the figures that have several.
    """
    figures.style()
    where, drawn = _briefly(found.runs[0].trainings), {}
    for place, (name, knob) in KNOBS.items():
        if found.panel(place):
            points, ours, seeds = figure3(found, place)
            drawn[name] = figures.microarchitecture(points, ours, seeds, knob, _briefly(seeds), narrow)
    effects = found.lengths
    if effects.epochs.nunique() > 1:
        rows = found.paper[(found.paper["where"] == "Table 3") & (found.paper.quantity == "top-1")]
        top1 = rows.set_index("variant").printed.astype(float)
        drawn["effect_against_length"] = figures.lengths(effects, (top1 - top1.iloc[0]).to_dict(), narrow)
    if found.others.compression:
        steps = pd.concat([pd.DataFrame(entry["steps"]) for entry in found.others.compression.values()])
        drawn["compression"] = figures.compression(steps, where, narrow)
    curves = summaries.curves(found.paper, found.runs[0])
    drawn["training_curves"] = figures.training_curves(curves, where, narrow)
    if transfer := found.others.transfer:
        drawn["transfer"] = figures.transfer(pd.DataFrame(transfer["curves"]), transfer["classes"], narrow)
    drawn |= advantages.draw(found.measured, found.variants, found.paper, narrow)
    drawn |= benchmarks.draw(found.timed, narrow)
    named = (summaries.OTHERS, summaries.DOWNSAMPLING, summaries.PANELS["Table 3"])
    printed = summaries.printed_networks(found.paper)
    drawn["accuracy_against_size"] = figures.accuracy_against_size(printed, found.laptop, where, named, narrow)
    if found.others.export and found.others.timed:
        rows = summaries.exports(found.others)
        drawn["exports"] = figures.exports(rows, found.others.timed["hardware"], narrow)
    if narrow:
        return drawn
    drawn["figure1_fire_module"] = figures.fire_module(answers.model_of({"model": "squeezenet"}))
    macro = found.paper[found.paper["where"] == "Table 3"].drop_duplicates("subject").set_index("variant").subject
    shown = {macro[name]: answers.model_of(found.variants[name]) for name in found.panel("Table 3")}
    if shown:
        drawn["figure2_macroarchitectures"] = figures.macroarchitectures(shown)
    return drawn


def _briefly(trainings):
    """What a figure says of its trainings where the text beside it says the rest."""
    epochs = int(trainings.epochs.iloc[0])
    return f"{trainings.dataset.iloc[0]}, {epochs} epoch{'s' * (epochs > 1)}"


def context(found):
    """What the templates may show, by name."""
    audited, tested, runs = found.audited, found.tested, found.runs
    verdicts, summary = audited.verdict.value_counts(), found.laptop
    kinds = tested.verdict.map(summaries.kind_of)
    named = {kind: list(tested.id[kinds == kind].str.replace("_", " ")) for kind in (*summaries.KINDS, "untested")}
    units = audit.size_units(found.paper, found.variants)
    against_compressed = tested[
        tested.id.isin(["as_good_uncompressed", "smaller_uncompressed"]) & tested.effect.notna()
    ]
    sections = {place: found.panel(place) for place in summaries.PANELS}
    sections["downsampling"] = [name for name in summaries.POOLING if name in found.variants]
    longer = tables.longer_recipe(runs)
    answered = set(tested.run[tested.id.isin(["compression_8_bit", "compression_6_bit"])])
    return {
        "conditions": {
            "laptop": conditions(runs[0].trainings),
            **{name: conditions(strongest(names, runs).trainings) for name, names in sections.items() if names},
            "rates": conditions(found.longer.rates) if len(found.longer.rates) else "",
        },
        "several": len(runs[0].seeds) > 1,
        "as_short": tables.as_short(runs),
        "differs": {key: (longer[key], found.recipe[key]) for key in longer if longer[key] != found.recipe[key]},
        "dataset": summary.dataset.iloc[0],
        "test_images": summary.test_images.iloc[0],
        "validation_images": runs[0].trainings.validation_images.iloc[0],
        "networks": len(summary),
        "on_laptop": summary.set_index("variant")[["accuracy", "parameters"]].to_dict("index"),
        "audited": len(audited),
        "verdicts": {verdict: int(verdicts[verdict]) for verdict in readings.VERDICTS if verdict in verdicts},
        "readings": readings,
        "pixels": answers.CROP,
        "classes": models.IMAGENET_CLASSES,
        "claims": named,
        "tested": tested.set_index("id").to_dict("index"),
        "answering": tested[tested.conditions.notna()].groupby("run", sort=False).conditions.first().to_dict(),
        "units": units,
        "best_unit": units.loc[units.fits.idxmax()],
        "against_compressed": against_compressed.set_index("id").to_dict("index")
        if len(against_compressed) == 2
        else {},
        "uncompressed": audited[(audited["where"] == "Section 4") & (audited.subject == "SqueezeNet")],
        "others": found.others,
        "simple_by_length": found.lengths[found.lengths.bypass == "simple_bypass"].to_dict("records"),
        "step_by_length": summaries.lengths(["sr_750"], runs[1:], "sr_500").to_dict("records"),
        "also_compressed": [
            row
            for row in summaries.compressed_summary(found.compressed[1:]).to_dict("records")
            if (row["network"], row["method"]) == ("squeezenet", "Deep Compression") and row["run"] not in answered
        ],
        "strange": found.longer.strange,
        "incomplete": found.longer.incomplete,
        "alpha": claims.ALPHA,
        "advantages": advantages.context(found.measured, found.variants, found.others, found.paper),
        "tables": _tables(found, units),
    }


def _tables(found, units):
    """Name -> frame of texts, for what there is."""
    audited, paper, runs, others = found.audited, found.paper, found.runs, found.others
    made = {
        "contradictions": tables.contradictions(audited),
        "by_place": tables.by_place(audited),
        "audit": tables.whole_audit(audited),
        "claims": tables.claims_table(found.tested),
        "units": units.rename(columns={"rounded": "rounded to the printed digits"}),
        "networks": tables.networks(paper, runs),
        "rates": tables.rates(found.longer.rates, found.variants, found.recipe["learning_rate"]),
        "imagenet": tables.imagenet(others.imagenet, paper, found.imagenet),
        "provenance": tables.provenance(runs, found.recipe),
        "lengths": tables.lengths(found.lengths),
    }
    sometimes = {
        "evidence": tables.evidence(runs),
        "trained_by": tables.trained_by(runs),
        "backends": tables.backends(runs),
        "ranking": tables.ranking(summaries.ranking(runs)),
        "spread": tables.spread(runs),
        "downsampling": tables.downsampling(paper, runs),
    }
    made |= {name: frame for name, frame in sometimes.items() if len(frame)}
    for place, maker in (("Table 1", tables.table1), ("Table 2", tables.table2)):
        if (audited["where"] == place).any():
            made[place] = maker(audited)
    if found.panel("Table 3"):
        made["Table 3"] = tables.table3(audited, paper, runs)
    if found.compressed:
        made["compression"] = tables.compression(found.compressed, paper)
    if others.authors and others.authors["available"]:
        made["authors"] = tables.authors(others.authors)
    if others.transfer:
        made["transfer"] = tables.transfer(others.transfer)
    if others.export:
        made["exports"] = tables.exports(summaries.exports(others))
    return made


def render(found, drawn, narrow=(), page=False):
    """The whole report as Markdown: for README.md, or for the HTML page, with figures that open and a contents list."""
    shown = context(found) | {"figures": set(drawn), "narrow": set(narrow), "page": page}
    return TEMPLATES.get_template("report.md.j2").render(shown)


def html(text, pictures):
    """The report as one page that needs no other file.

    Args:
        text: of `render(page=True)`.
        pictures: name -> bytes of the SVG that stands in the text as figures/NAME.svg.
    """
    converter = markdown.Markdown(
        extensions=["tables", "toc", "md_in_html"], extension_configs={"toc": {"toc_depth": "2"}}
    )
    body = converter.convert(text)
    for name, svg in pictures.items():
        inline = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
        body = body.replace(f'"figures/{name}.svg"', f'"{inline}"')
    return TEMPLATES.get_template("page.html.j2").render(body=body, title=text.partition("\n")[0].lstrip("# "))


def write(found, drawn, narrow, frames, folder=paths.REPORTS):
    """Write README.md, report.html, figures/, tables/ and metrics.json, after all of them could be made.

    Args:
        drawn, narrow: figures by name, as `draw` makes them.
        frames: name -> frame, for tables/NAME.csv.
    """
    encoded = {name: figures.encode(figure) for name, figure in drawn.items()}
    pictures = {name: kinds["svg"] for name, kinds in encoded.items()}
    pictures |= {f"{name}_narrow": figures.encode(figure)["svg"] for name, figure in narrow.items()}
    metrics = summaries.metrics_of(found.laptop, found.audited, found.tested)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary) / "reports"  # copying the private folder itself would make `folder` private
        for name in ("figures", "tables"):
            (scratch / name).mkdir(parents=True)
        for name, kinds in encoded.items():
            for kind, data in kinds.items():
                (scratch / "figures" / f"{name}.{kind}").write_bytes(data)
        for name, frame in frames.items():
            frame.to_csv(scratch / "tables" / f"{name}.csv", index=False, lineterminator="\n")
        (scratch / "README.md").write_text(render(found, drawn))
        (scratch / "report.html").write_text(html(render(found, drawn, narrow, page=True), pictures))
        findings = TEMPLATES.get_template("findings.md.j2").render(context(found))
        (scratch / "tables/findings.md").write_text(findings)
        (scratch / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        shutil.copytree(scratch, folder, dirs_exist_ok=True)


def publish(notebook, target):
    """Copy an executed notebook for readers of the repository, without what libraries say of the machine."""

    def is_ours(output):
        return output.get("name") != "stderr" and tempfile.gettempdir() not in output.get("text", "")

    content = nbformat.read(notebook, as_version=4)
    for cell in content.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if is_ours(output)]
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(content, target)
