"""The report as Markdown and as one HTML page: the words in templates/, the numbers from the evidence by name.

The evidence is in git, so that the words are written for it. A sentence that concludes is pinned to the verdict that
it tells, and no report is rendered once that verdict has changed.
"""

import base64
import json
import re
from pathlib import Path
from typing import NamedTuple

import jinja2
import markdown
import pandas as pd

from replication import params, paths
from replication.report import advantages, audit, claims, evidence, figures, statistics, tables
from replication.report.ours import network_of
from replication.report.statistics import difference, points, spread

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).with_name("templates")),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
KNOBS = {  # a panel of Figure 3 -> its name, and what the labels beside its points are
    "Figure 3(a)": ("figure3a_squeeze_ratio", "squeeze ratio"),
    "Figure 3(b)": ("figure3b_pct3x3", "share of 3x3 among the expand filters"),
}
TABLE3 = "table3"  # the run of the first figure
MARK = "\ue000{}\ue001"  # in front of a pinned sentence while it is rendered


class Found(NamedTuple):
    """All that the report tells.

    Attributes:
        runs: name -> frame of trainings, and of files made from them.
        numbers: of `audit.read_paper`.
        audited: of `audit.audit`.
        tested: of `claims.assess`.
        section1: `advantages.Advantages`.
        rows: name -> the row of a stage in data/evidence.
        own: what the user's own run left, of `evidence.own`.
    """

    runs: dict
    numbers: pd.DataFrame
    audited: pd.DataFrame
    tested: pd.DataFrame
    section1: advantages.Advantages
    rows: dict
    own: pd.DataFrame

    def trained(self, run):
        """The networks of a run, without the files made from them."""
        frame = self.runs[run]
        return frame[~frame.name.str.contains("/")]


def read_table(name):
    """A file of data/paper as the paper prints it, of strings."""
    return pd.read_csv(paths.PAPER / f"{name}.csv", dtype=str, keep_default_na=False)


def gather():
    """Read the evidence, audit the paper's numbers and test its claims."""
    variants = params.read("variants", dict[str, dict])
    rows = {name: json.loads((paths.EVIDENCE / f"{name}.json").read_text())
            for name in ("authors", "imagenet", "transfer", "export")}  # fmt: skip
    runs, numbers, section1 = evidence.read(), audit.read_paper(), advantages.read()
    audited = audit.audit(numbers, audit.read_cited(), audit.read_errata(), variants, rows["authors"])
    tested = claims.assess(read_table("claims"), runs, claims.printed(), advantages.measured(section1))
    return Found(runs, numbers, audited, tested, section1, rows, evidence.own())


def effects_by_length(found):
    """What the bypasses gain at each training length on CIFAR-10."""
    bypasses = list(read_table("table3").network[1:])
    return statistics.lengths([found.trained(run) for run in ("epochs_2", "epochs_6", "table3")], bypasses)


def briefly(trained):
    """What a figure says of its trainings: "CIFAR-10, 20 epochs, 5 seeds"."""
    return f"{trained.dataset.iloc[0]}, {trained.epochs.iloc[0]} epochs, {trained.seed.nunique()} seeds"


def draw(found):
    """Every figure of the report: name -> matplotlib figure."""
    figures.style()
    table3, trained, variants = read_table("table3"), found.trained(TABLE3), params.read("variants", dict[str, dict])
    drawn = {"table3": figures.table3(table3, trained, "Ours: " + briefly(trained).replace(", ", ",\n", 1))}
    for panel, drawing in read_table("figure3").groupby("panel"):
        (name, knob), trained = KNOBS[panel], found.trained("figure3")
        drawing = drawing.assign(label=drawing.point.str.extract(r"([\d.]+%?)")[0])
        trained = trained[trained.name.isin(drawing.network)]
        drawn[name] = figures.microarchitecture(drawing, trained, knob, f"Ours: {briefly(trained)}")
    top1 = table3.set_index("network")["top-1 (%)"].astype(float)
    drawn["effect_against_length"] = figures.lengths(effects_by_length(found), (top1 - top1.iloc[0]).to_dict())
    drawn["figure1_fire_module"] = figures.fire_module(network_of(variants["squeezenet"]))
    shown = {row.architecture: network_of(variants[row.network]) for row in table3.itertuples()}
    drawn["figure2_macroarchitectures"] = figures.macroarchitectures(shown)
    return drawn


def limits(found):
    """The paper's two limits of on-chip memory, MB."""
    memory = found.numbers[found.numbers.quantity == "on-chip memory"].set_index("unit").printed
    return [float(memory[unit].lstrip("<")) for unit in ("MBytes", "MB")]


def memory(found):
    """The frame of `advantages.memory`; compressed files without loss, of AlexNet as printed."""
    sizes = claims.printed().query("measure == 'size'").set_index("network").number
    ours = found.rows["authors"]["decoded"]["lossless"]["range"]
    return advantages.memory({"squeezenet": ours, "alexnet": 1e6 * sizes["alexnet/Deep_Compression/5-8"]})


def authors_files(found):
    """Our files of the released networks by their names."""
    return {file["file"]: file for file in found.rows["authors"]["files"]}


# Pinned sentences


class Pins:
    """What sentences rest on: marks them in the text, and finds those that rest on it no more."""

    def __init__(self, verdicts):
        self.verdicts, self.broken = verdicts, {}

    def pinned(self, key, verdict):
        """In front of a sentence: it tells this verdict of a claim, or of a number by its key in the audit."""
        return self._mark(self.verdicts[key] == verdict, f"{key} is now {self.verdicts[key]!r}, not {verdict!r}")

    def checked(self, holds, what):
        """In front of a sentence: it tells something that the evidence has to bear out."""
        return self._mark(holds, f"it is no longer so that {what}")

    def _mark(self, holds, why):
        mark = MARK.format(len(self.broken))
        self.broken[mark] = None if holds else why
        return mark

    def settle(self, text, draft=False):
        """The text without marks.

        Args:
            draft: whether sentences that have lost their ground are marked, and not refused.

        Raises:
            ValueError: it names these sentences.
        """
        lost = []
        for mark, why in self.broken.items():
            if why and mark in text:
                rest = re.sub(r"\ue000\d+\ue001", "", text.partition(mark)[2])
                sentence = re.match(r".+?(?:\.(?=\s)|$)", rest, re.MULTILINE)[0]
                lost.append(f"- {sentence}\n  {why}")
            text = text.replace(mark, f"**[DRAFT: {why}]** " if why else "")
        if lost and not draft:
            raise ValueError(
                "The evidence no longer says what these sentences conclude. Rewrite them in src/replication/report/"
                "templates/, or render with --draft, which marks them:\n" + "\n".join(lost)
            )
        return text


# Rendering


def context(found):
    """What the templates may show, by name."""
    tested, trained = found.tested.set_index("id"), found.trained("table3")
    pins = Pins({**found.audited.set_index("key").verdict, **tested.verdict})
    units = audit.size_units(found.numbers, params.read("variants", dict[str, dict])).to_dict("records")
    return {
        "pins": pins,
        "pinned": pins.pinned,
        "checked": pins.checked,
        "claims": tested.to_dict("index"),
        "effect": lambda name: points(*tested.loc[name, ["effect", "low", "high"]]),
        "gain": lambda name: tables.interval(*tested.loc[name, ["effect", "low", "high"]]),
        "cost": lambda name: tables.interval(*-tested.loc[name, ["effect", "high", "low"]]),
        "change": tables.change,
        "interval": tables.interval,
        "percent": tables.percent,
        "figure": figure,
        "count": "{:,.0f}".format,
        "accuracy": lambda name: tables.accuracy(trained[trained.name == name]),
        "from_vanilla": lambda name: points(*difference(name, "squeezenet", trained)),
        "fits": lambda size: tables.fits(size, limits(found)),
        "tables": {name: tables.markdown(frame) for name, frame in shown_tables(found).items()},
        "runs": {name: found.trained(name) for name in found.runs},
        "recipe": trained.params.iloc[0]["train"],
        "alexnet_rate": found.trained("alexnet").set_index("variant").learning_rate["alexnet"].iloc[0],
        "spread": spread(trained).deviation,
        "least_p": min(spread(found.trained(run)).p.min() for run in set(tested.run[tested.p.notna()])),
        "ranks": {run: statistics.ranks(found.trained(run)) for run in ("table3", "figure3")},
        "networks": trained.drop_duplicates("name").set_index("name").to_dict("index"),
        "table3": read_table("table3").to_dict("records"),
        "others": read_table("others").to_dict("records"),
        "communication": found.section1.communication.query("dtype == @advantages.PLAIN")
        .groupby("variant")[["parameters", "bytes", "share"]]
        .mean()
        .sort_values("parameters")
        .to_dict("index"),
        "audit": audit.counts(found.audited),
        "units": units,
        "decimal_fits": max(row["fits"] for row in units if "10^6" in row["unit"]),
        "limits": limits(found),
        "memory": memory(found).set_index("network").to_dict("index"),
        "shown": advantages.SHOWN,
        "litert": found.section1.arenas.eval("x = litert / liveness").groupby(["network", "bits"]).x.max(),
        "briefly": lambda run: briefly(found.trained(run)),
        "trained_here": len(found.own),
        "own_images": int(found.own.train_images.max()) if len(found.own) else None,
        "fit": advantages.fit(found.section1.communication.query("dtype == @advantages.PLAIN")),
        "sizes": {name: network_of({"model": name}).count_params() for name in ("alexnet", "squeezenet")},
        "files": authors_files(found),
        "photographs": found.rows["imagenet"]["imagenette"]["squeezenet"]["images"],
        **found.rows,
    }


def shown_tables(found):
    """Name -> frame of texts, of every table that stands in the report."""
    audited = found.audited[found.audited.repeats == ""]
    audited = audited.set_index("verdict")[["where", "what", "printed", "ours", "note"]]
    return {
        "claims": tables.claims_by_verdict(found.tested, {run: briefly(found.trained(run)) for run in found.runs}),
        "table1": audit.as_printed(found.numbers, found.audited, "Table 1").reset_index(names="layer"),
        "sizes": tables.sizes(found.audited),
        "compression": tables.compression({"squeezenet": found.runs["table3"], "alexnet": found.runs["alexnet"]}),
        "lengths": tables.lengths(effects_by_length(found)),
        "updates": tables.updates(found.section1.updates),
        "errata": audited[audited.index.isin(audit.FAULTS)].reset_index(),
        "apart": audited[audited.index.isin([audit.SLIP, audit.NOT_ATTAINED])],
        "counts": pd.DataFrame(filter(all, audit.counts(found.audited).items()), columns=["verdict", "numbers"]),
        "own": tables.own(found.own, {name: found.trained(name) for name in found.runs}),
    }


def figure(name, caption):
    return f"![{caption}](figures/{name}.svg)\n\n*{caption}.*"


def render(found, template="report.md.j2", draft=False):
    """The report, or another template, as Markdown.

    Raises:
        ValueError: a sentence concludes what the evidence no longer says, and this is no draft.
    """
    shown = context(found)
    return shown["pins"].settle(TEMPLATES.get_template(template).render(shown), draft)


def html(text, pictures):
    """The report as one page.

    Args:
        text: of `render`.
        pictures: name -> bytes of the SVG that stands in the text as figures/NAME.svg.
    """
    title, _, rest = text.partition("\n")
    converter = markdown.Markdown(extensions=["tables", "toc"], extension_configs={"toc": {"toc_depth": "2-2"}})
    body = converter.convert(f"{title}\n\n[TOC]\n{rest}")
    for name, svg in pictures.items():
        inline = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
        body = body.replace(f'"figures/{name}.svg"', f'"{inline}"')
    return TEMPLATES.get_template("page.html.j2").render(body=body, title=title.lstrip("# "))


def files(found):
    """Name -> frame of tables/NAME.csv: all numbers, claims and trainings, and what has no room in the report."""
    rows, times = (pd.DataFrame(found.rows["export"][kind]) for kind in ("rows", "times"))
    return {
        "audit": found.audited,
        "claims": found.tested,
        "trainings": tables.trainings(found.runs),
        "spread": pd.concat([spread(found.trained(run)).assign(run=run) for run in found.runs]),
        "rates": tables.rates(evidence.rates()),
        "memory": memory(found),
        "updates": found.section1.updates,
        "communication": found.section1.communication,
        "exports": rows.merge(times, "outer"),
    }


def metrics(found):
    """A few leaves for `dvc metrics`: accuracies of the user's own run in %, and how many claims and numbers hold."""
    own = found.own[~found.own.variant.str.match("sr_|pct_")] if len(found.own) else found.own
    counts, verdicts = audit.counts(found.audited), found.tested.verdict
    hold, opposite = (int(verdicts.isin(of).sum()) for of in (claims.HOLD, [claims.OPPOSITE]))
    return {
        "accuracy": {row.variant: round(100 * row.accuracy, 2) for row in own.itertuples()},
        "audit": {verdict: counts[verdict] for verdict in (audit.HOLDS, audit.CONTRADICTED)},
        "claims": {"hold": hold, "opposite": opposite, "open": len(verdicts) - hold - opposite},
    }


def write(found, drawn, folder=paths.REPORTS, draft=False):
    """Write README.md, report.html, figures/, tables/ and metrics.json, after all of them could be made.

    Args:
        drawn: figures by name, as `draw` makes them.

    Raises:
        ValueError: as of `render`.
    """
    text, encoded = render(found, draft=draft), {name: figures.encode(figure) for name, figure in drawn.items()}
    made = {f"figures/{name}.{kind}": data for name, kinds in encoded.items() for kind, data in kinds.items()}
    page = html(text, {name: kinds["svg"] for name, kinds in encoded.items()})
    texts = {"README.md": text, "report.html": page, "metrics.json": json.dumps(metrics(found), indent=2) + "\n"}
    for name, frame in files(found).items():
        texts[f"tables/{name}.csv"] = frame.to_csv(index=False, lineterminator="\n")
    for name, data in (made | {name: text.encode() for name, text in texts.items()}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
