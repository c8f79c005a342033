"""The report as Markdown and as one HTML page: the words in templates/, the numbers from the evidence by name.

The evidence is in git, so that the words are written for it. A sentence that concludes is pinned to the verdict that
it tells, and no report is rendered once that verdict has changed.
"""

import base64
import functools
import json
import re
from itertools import product
from pathlib import Path
from typing import NamedTuple

import jinja2
import markdown
import pandas as pd

from replication import paths, records
from replication.report import advantages, audit, claims, evidence, figures, ours, paper, tables
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
COMPRESSED = {"squeezenet": "table3", "alexnet": "alexnet"}  # a network -> the run of which files were made
LOST = "**[DRAFT: {}]** "  # before a sentence that is no longer supported


class Facts(NamedTuple):
    """All that the report tells."""

    runs: dict  # name -> frame of trainings, and of files made from them
    tried: dict  # name -> frame of trainings, of the runs that try learning rates
    numbers: pd.DataFrame  # of `paper.numbers`
    audited: pd.DataFrame  # of `audit.audit`
    tested: pd.DataFrame  # of `claims.assess`
    section1: advantages.Advantages
    rows: dict  # name -> the row of a stage in data/evidence
    own: pd.DataFrame  # what the user's own run left, of `evidence.own`

    def trained(self, run):
        """The networks of a run, without the files made from them."""
        frame = self.runs[run]
        return frame[~frame.name.str.contains("/")]


def read():
    """Read the evidence, audit the paper's numbers and test its claims."""
    rows = {name: records.read(paths.EVIDENCE / f"{name}.json")
            for name in ("authors", "imagenet", "transfer", "export")}  # fmt: skip
    (runs, tried), numbers, section1 = evidence.read(), paper.numbers(), advantages.read()
    audited = audit.audit(numbers, rows["authors"])
    tested = claims.assess(paper.table("claims"), runs, numbers, section1)
    return Facts(runs, tried, numbers, audited, tested, section1, rows, evidence.own())


def effects_by_length(facts):
    """What the bypasses gain at each training length on CIFAR-10."""
    found = differences(facts).query("run != 'photographs' and lower == 'squeezenet' and upper.str.endswith('bypass')")
    return found.rename(columns={"upper": "bypass", "points": "effect"})


def differences(facts):
    """Points between networks on photographs, and on CIFAR-10, where two seeds or more have both."""
    pairs = [(row.upper, row.lower) for row in paper.table("predictions").itertuples()]
    pairs += [("complex_bypass", control) for control in ("simple_wide", "simple_sr_185")]
    pairs += [("squeezenet", "early_pools"), ("squeezenet", "alexnet"), ("sr_750", "squeezenet")]
    rows = []
    for run, pair in product(("photographs", "alexnet", "epochs_2", "epochs_6", "table3"), pairs):
        trained = facts.trained(run)
        seeds = trained.groupby("name").seed.nunique().reindex(pair, fill_value=0).min()
        if seeds > 1:
            rows.append((run, trained.epochs.iloc[0], *pair, seeds, *difference(*pair, trained)))
    return pd.DataFrame(rows, columns=["run", "epochs", "upper", "lower", "seeds", "points", "low", "high"])


def briefly(trained):
    """What a figure says of its trainings: "CIFAR-10, 20 epochs, 5 seeds"."""
    seeds = sorted(trained.groupby("name").seed.nunique().unique())  # several while a run is unfinished
    return f"{trained.dataset.iloc[0]}, {trained.epochs.iloc[0]} epochs, {'-'.join(map(str, seeds))} seeds"


def draw(facts):
    """Every figure of the report: name -> matplotlib figure."""
    figures.style()
    table3 = paper.table("table3")
    runs = [run[run.name.isin(table3.network)] for run in map(facts.trained, ("photographs", "table3"))]
    drawn = {"table3": figures.table3(table3, {"Ours: " + briefly(run).replace(", ", ",\n"): run for run in runs})}
    for panel, drawing in paper.table("figure3").groupby("panel"):
        (name, knob), trained = KNOBS[panel], facts.trained("figure3")
        trained = trained[trained.name.isin(drawing.network)]
        drawn[name] = figures.microarchitecture(drawing, trained, knob, f"Ours: {briefly(trained)}")
    top1 = table3.set_index("network")["top-1 (%)"].astype(float)
    drawn["effect_against_length"] = figures.lengths(effects_by_length(facts), (top1 - top1.iloc[0]).to_dict())
    drawn["figure1_fire_module"] = figures.fire_module(ours.network_of("squeezenet"))
    networks = {row.architecture: ours.network_of(row.network) for row in table3.itertuples()}
    drawn["figure2_macroarchitectures"] = figures.macroarchitectures(networks)
    for figure in drawn.values():  # what is drawn once more, as by the notebook, stays where it is
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return drawn


def memory(facts):
    """The frame of `advantages.memory`; compressed files without loss, of AlexNet as printed."""
    printed = facts.numbers.set_index(["network", "quantity"]).printed["alexnet/Deep_Compression/5-8", "size"]
    lossless = facts.rows["authors"]["decoded"]["lossless"]["range"]
    return advantages.memory({"squeezenet": lossless, "alexnet": 1e6 * float(printed)})


# Pinned sentences


def checked(holds, what):
    """A mark before a sentence, empty while the evidence supports it."""
    return "" if holds else LOST.format(f"it is no longer true that {what}")


def pinned(verdicts, key, verdict):
    """A mark before a sentence, empty while `key` has this verdict."""
    return "" if verdicts[key] == verdict else LOST.format(f"{key} is now {verdicts[key]!r}, not {verdict!r}")


def refuse(text):
    """Raise a ValueError that names the sentences marked by `checked` or `pinned`."""
    mark = re.escape(LOST).replace(r"\{\}", "(.+?)")
    if lost := re.findall(rf"{mark}(?=(.+?(?:\.(?=\s)|$)))", text, re.MULTILINE):
        raise ValueError(
            "The evidence no longer says what these sentences conclude. Rewrite them in src/replication/report/"
            "templates/, or render with --draft, which marks them:"
            + "".join(f"\n- {re.sub(mark, '', sentence)}\n  {why}" for why, sentence in lost)
        )


# Rendering


def context(facts):
    """What the templates may show, by name."""
    tested, trained, authors = facts.tested.set_index("id"), facts.trained("table3"), facts.rows["authors"]
    inference = memory(facts).set_index("network")
    of_photographs = [rows for run, rows in (facts.runs | facts.tried).items() if run.startswith("photographs")]
    on_chip = facts.numbers.query("quantity == 'on-chip memory' and unit.str.startswith('MB')").printed
    litert = facts.section1.arenas.query("side == 227").eval("x = litert / liveness").set_index(["network", "bits"])
    return {
        "pinned": functools.partial(pinned, {**facts.audited.set_index("key").verdict, **tested.verdict}),
        "checked": checked,
        "claims": tested.to_dict("index"),
        "effect": lambda name: points(*tested.loc[name, ["effect", "low", "high"]]),
        "gain": lambda name, digits=1: tables.interval(*tested.loc[name, ["effect", "low", "high"]], digits),
        "cost": lambda name: tables.interval(*-tested.loc[name, ["effect", "high", "low"]]),
        "goal": lambda of: "missed" if of["high"] < -1 else "met" if of["low"] > -1 else "undecided",
        "difference": difference,
        "effect_in": lambda name, run: difference(*tested.loc[name, ["upper", "lower"]], facts.runs[run])[0],
        "more": lambda large, small: f"{100 * (large / small - 1):.0f}%",
        "points": points,
        "unfit": facts.tested.query("p.notna() and p_holm.isna() and run != 'photographs'"),
        "tuned": facts.runs["table3"].shared.max(),
        "compared": {(row.run, row.upper, row.lower): points(*row[-3:]) for row in differences(facts).itertuples()},
        "failed": pd.concat(of_photographs).query("accuracy < 0.15")[["variant", "learning_rate"]].to_numpy().tolist(),
        "tried": facts.tried,
        "figure": lambda name, says: f"![{re.split('[:,.] ', says)[0]}](figures/{name}.svg)\n\n*{says}.*",
        "count": "{:,.0f}".format,
        "accuracy": lambda name: tables.accuracy(trained[trained.name == name]),
        **{name: getattr(tables, name) for name in ("change", "fits", "interval", "percent")},
        "lengths": effects_by_length(facts).pivot(index="epochs", columns="bypass", values="effect").round(1),
        "limits": sorted(on_chip.str.strip("<").astype(float)),
        "tables": {name: tables.markdown(frame) for name, frame in shown_tables(facts).items()},
        "runs": {name: facts.trained(name) for name in facts.runs},
        "spread": {run: spread(facts.trained(run)).deviation for run in ("photographs", "table3")},
        "least_p": min(spread(facts.trained(run)).p.min() for run in set(tested.run[tested.p.notna()])),
        "networks": trained.drop_duplicates("name").set_index("name").to_dict("index"),
        "unmodified": facts.trained("photographs").drop_duplicates("name").set_index("name").to_dict("index"),
        **{name: paper.table(name).to_dict("records") for name in ("table3", "others", "predictions")},
        "line": advantages.fit(advantages.by_network(facts.section1.communication))[0],
        "audit": audit.counts(facts.audited),
        "verdicts": ours,
        "units": audit.size_units(facts.numbers),
        "memory": inference.to_dict("index"),
        "litert": litert.sort_index(),
        "briefly": lambda run: briefly(facts.trained(run)),
        "own": facts.own,
        "sizes": inference.weights.div(4).rename("parameters"),
        "files": {file["file"]: file for file in authors["files"]},
        **facts.rows,
    }


def shown_tables(facts):
    """Name -> frame of texts, of every table that stands in the report."""
    sizes = facts.audited[facts.audited.key.str.fullmatch("Table 2/.*/size")]
    audited = facts.audited.query("repeats == ''").rename(columns={"ours": "found"}).set_index("verdict")
    audited = audited[["where", "what", "printed", "found", "note"]]
    audited["note"] = audited.note.str.replace(r"(\. )?Tried .*", "", regex=True)
    return {
        "claims": tables.claims_by_verdict(facts.tested),
        "table1": audit.table1(facts.audited).drop(columns="bits").reset_index(),
        "sizes": sizes[["what", "printed", "ours", "reading", "verdict"]],
        "compression": tables.compression({network: facts.runs[run] for network, run in COMPRESSED.items()}),
        "updates": tables.updates(facts.section1.updates.query("form != 'pruned'")),
        "errata": audited[audited.index.isin(audit.FAULTS)].reset_index(),
        "apart": audited[audited.index.isin([ours.DESCRIBED, ours.ROUNDED, ours.SLIP, ours.OPEN])].reset_index(),
        "own": tables.own(facts.own, facts.runs),
    }


def render(facts, template="report.md.j2", draft=False):
    """The report, or another template, as Markdown; what `refuse` would stop at is marked in a `draft`."""
    text = TEMPLATES.get_template(template).render(context(facts))
    if not draft:
        refuse(text)
    return text


def html(text, pictures):
    """The report, as from `render`, as one page, with the bytes of each SVG in place of figures/NAME.svg."""
    title, _, rest = text.partition("\n")
    converter = markdown.Markdown(extensions=["tables", "toc"], extension_configs={"toc": {"toc_depth": "2-2"}})
    body = converter.convert(f"{title}\n\n[TOC]\n{rest}")
    for name, svg in pictures.items():
        inline = f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
        body = body.replace(f'"figures/{name}.svg"', f'"{inline}"')
    return TEMPLATES.get_template("page.html.j2").render(body=body, title=title.lstrip("# "))


def files(facts):
    """Name -> frame of tables/NAME.csv: all numbers, claims and trainings, and what has no room in the report."""
    rows, times = (pd.DataFrame(facts.rows["export"][kind]) for kind in ("rows", "times"))
    return {
        "audit": facts.audited,
        "claims": facts.tested,
        "trainings": tables.trainings(facts.runs | facts.tried),
        "spread": pd.concat([spread(facts.trained(run)).assign(run=run) for run in facts.runs]),
        "rates": tables.rates(facts.tried | {"photographs": facts.trained("photographs").query("seed == 0")}),
        "differences": differences(facts),
        "memory": memory(facts),
        "updates": facts.section1.updates,
        "communication": facts.section1.communication,
        "exports": rows.merge(times, "outer"),
        "transfer": pd.DataFrame(facts.rows["transfer"]["rows"]),
    }


def metrics(facts):
    """A few leaves for `dvc metrics`: accuracies of the user's own run in %, and how many claims and numbers hold."""
    own = facts.own[~facts.own.variant.str.match("sr_|pct_")] if len(facts.own) else facts.own
    counts, verdicts = audit.counts(facts.audited), facts.tested.verdict
    hold, opposite = (int(verdicts.isin(of).sum()) for of in (claims.HOLD, [claims.OPPOSITE]))
    return {
        "accuracy": {row.variant: round(100 * row.accuracy, 2) for row in own.itertuples()},
        "audit": {verdict: counts[verdict] for verdict in (ours.HOLDS, ours.CONTRADICTED)},
        "claims": {"hold": hold, "opposite": opposite, "open": len(verdicts) - hold - opposite},
    }


def write(facts, drawn, folder=paths.REPORTS, draft=False):
    """Write README.md, your_run.md, report.html, figures/, tables/ and metrics.json, once all of them could be made."""
    text, own = render(facts, draft=draft), render(facts, "your_run.md.j2")
    encoded = {name: figures.encode(figure) for name, figure in drawn.items()}
    made = {"README.md": text, "your_run.md": own, "report.html": html(f"{text}\n\n#{own}", encoded)}
    made["metrics.json"] = json.dumps(metrics(facts), indent=2) + "\n"
    made |= {f"figures/{name}.svg": data for name, data in encoded.items()}
    made |= {f"tables/{name}.csv": rows.to_csv(index=False, lineterminator="\n") for name, rows in files(facts).items()}
    for name, content in made.items():
        records.write(folder / name, content)
