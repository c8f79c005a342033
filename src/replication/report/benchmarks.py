"""What `make bench` left, as tables for docs/benchmarks.md and a figure."""

import json

import numpy as np
import pandas as pd
from scipy import stats

from replication import paths
from replication.report import advantages, figures
from replication.report.answers import model_of
from squeezenet import costs

KERAS, REST = "Keras on TensorFlow", "outside oneDNN"
PASSES = 3  # forward, and backward to data and to weights, count as many multiplications each


def read(folder=paths.BENCH):
    """Topic -> its rows, for what has been measured."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def several(values, form="{:,.0f}"):
    """Median, lowest and highest, as text; what was never reached is infinite."""
    low, median, high = (form.format(value) for value in (min(values), np.median(values), max(values)))
    return f"{median} [{low}, {high}]".replace("inf", "never")


def by_name(rows):
    return {row["what"]: row for row in rows}


def ratios(row):
    """Keras' images a second by those of PyTorch's faster form, round by round."""
    speeds = row["images_per_second"]
    best = max((name for name in speeds if name.startswith("PyTorch")), key=lambda name: np.median(speeds[name]))
    return np.divide(speeds[KERAS], speeds[best])


def steps(rows):
    """Training images a second of each framework."""
    shown = []
    for row in rows:
        cell = {"network": f"`{row['network']}`", "dtype": row["dtype"], "batch": row["batch"]}
        cell |= {name: several(speeds) for name, speeds in row["images_per_second"].items()}
        shown.append(cell | {f"{KERAS} by PyTorch's best": several(ratios(row), "{:.2f}")})
    return pd.DataFrame(shown)


def profile(rows):
    """Milliseconds of a training step, and the share of each kind of work that takes at least 3% somewhere."""
    rows = [row for row in rows if row["what"] == "profile"]
    shares = pd.DataFrame([{kind: ms / row["ms"] for kind, ms in row["parts"].items()} for row in rows]).fillna(0.0)
    shares[REST] = (1 - shares.sum(axis=1)).clip(lower=0)
    shares = shares[[name for name in shares if shares[name].max() >= 0.03]]
    table = pd.DataFrame(
        {
            "network": [f"`{row['network']}`" for row in rows],
            "dtype": [row["dtype"] for row in rows],
            "ms a step": [f"{row['ms']:.0f}" for row in rows],
            "GFLOP/s": [f"{2 * PASSES * row['macs'] * row['batch'] / row['ms'] / 1e6:.0f}" for row in rows],
        }
    )
    return pd.concat([table, (100 * shares).map("{:.0f}%".format)], axis=1)


def seconds_of(row, timed):
    """Seconds of a training after each epoch, by the median of those that an epoch of its recipe takes alone."""
    return np.median(timed[row["recipe"]]) * np.arange(1, 1 + len(row["val_accuracy"]))


def reached(row, accuracy, timed):
    """Seconds to an accuracy on the validation images; infinite where it was not reached. Ours counts as it ends."""
    seconds = seconds_of(row, timed)
    counts = slice(-1, None) if row["recipe"] == "ours" else slice(None)
    there = 100 * np.array(row["val_accuracy"])[counts] >= accuracy
    return seconds[counts][there].min(initial=np.inf)


def title(recipe, epochs):
    """Ours is a schedule of its own for each accuracy; the others have one."""
    return f"ours, {epochs} epochs" if recipe == "ours" else recipe


def recipes(rows, schedules):
    """Seconds of each recipe to each accuracy, and by how much ours is faster, seed by seed.

    Args:
        rows: of topic `recipes`.
        schedules: accuracy in % -> epochs of ours.
    """
    (timed,) = [row["seconds"] for row in rows if "seconds" in row]
    runs = [row for row in rows if "seed" in row]
    shown = []
    for accuracy, epochs in schedules.items():
        of_name = {}
        for row in runs:
            if row["recipe"] != "ours" or row["epochs"] == epochs:
                of_name.setdefault(row["recipe"], []).append(row)
        ours = {row["seed"]: reached(row, accuracy, timed) for row in of_name.get("ours", [])}
        for name, of_one in of_name.items():
            of_one = [row for row in of_one if np.isfinite(ours.get(row["seed"], np.inf))]
            if not of_one:
                continue
            times = [reached(row, accuracy, timed) for row in of_one]
            lasted = [seconds_of(row, timed)[-1] for row in of_one]
            best = [100 * max(row["val_accuracy"]) for row in of_one]
            by_ours = np.array([ours[row["seed"]] for row in of_one])
            ended = np.isfinite(np.median(times))
            cell = {"accuracy, %": accuracy, "recipe": title(name, epochs)}
            cell["seeds that reach it"] = f"{sum(np.isfinite(times))} of {len(times)}"
            cell["seconds an epoch"] = several(timed[name], "{:.0f}")
            missed = f"not in {min(lasted):,.0f}; best {several(best, '{:.1f}')}%"
            cell["seconds"] = several(times) if ended else missed
            cell["by ours"] = several(times / by_ours, "{:.1f}") if ended else f"over {min(lasted / by_ours):.1f}"
            shown.append(cell)
    return pd.DataFrame(shown)


def files(rows):
    """Encoding, decoding, k-means."""
    shown = []
    for row in (row for row in rows if "seconds" in row):
        for name, seconds in row["seconds"].items():
            size = f", {row['bytes'][name]:,} bytes" if "bytes" in row else ""
            ms = several(np.multiply(seconds, 1000), "{:,.1f}")
            shown.append({"what": f"{row['what']}, {name}{size}", "ms": ms})
    return pd.DataFrame(shown)


def photographs(row):
    """A folder of JPEG files through SqueezeNet 1.1."""
    shown = [
        {
            "images": f"{runs[0]['images']:,}",
            "read by": way,
            "images a second": several([run["images_per_second"] for run in runs]),
            "peak memory without workers, MB": several([run["megabytes"] for run in runs]),
        }
        for way, runs in [*row["found"].items(), ("Batches", [row["more"]])]
    ]
    return pd.DataFrame(shown)


def pipeline(rows):
    """What the pipeline itself takes."""
    by_what = by_name(rows)
    networks = pd.DataFrame(by_what["training"]["networks"])
    outside = 1 - networks.seconds.sum() / networks.stage_seconds.sum()
    loads = by_what["import"]["seconds"]
    edited = by_what["one variant edited"]
    rerun = ", ".join(edited["run"])
    shown = {
        "`dvc repro`, nothing changed, s": several(by_what["nothing changed"]["seconds"]["dvc repro"], "{:.1f}"),
        "stages that one edited variant reruns": f"{len(edited['run'])} of {edited['stages']}: {rerun}",
        "of the stages `train`, neither fitting nor validation": f"{outside:.0%}",
        "`import keras`, s": several(loads["keras"], "{:.2f}"),
        "`import squeezenet`, s": several(loads["squeezenet"], "{:.2f}"),
        "`import squeezenet` above `import keras`, s": several(
            np.subtract(loads["squeezenet"], loads["keras"]), "{:.2f}"
        ),
    }
    return pd.DataFrame(list(shown.items()), columns=["what", "measured"])


def growth(rows):
    """Seconds of training an image against multiplications, over the networks of `make repro`: a least-squares line."""
    networks = pd.DataFrame(by_name(rows)["training"]["networks"])
    networks["ms"] = 1000 * networks.seconds / networks.seeds / networks.epochs / networks.train_images
    line = stats.linregress(networks.macs / 1e6, networks.ms)
    return networks, line


def memory(rows):
    """Peak memory of a training by batch."""
    rows = [row for row in rows if row["what"] == "memory"]
    shown = {"batch": [row["batch"] for row in rows], "MB": [f"{row['megabytes']:,.0f}" for row in rows]}
    return pd.DataFrame(shown | {"images a second": [f"{1000 * row['batch'] / row['ms']:,.0f}" for row in rows]})


def imagenet(found, plan, ours):
    """Hours of the paper's training on ImageNet, by what limits: reading, computing, or the exchange of gradients.

    Args:
        found: topic -> rows: photographs read a second by one core (files), and trained on by a GPU (imagenet).
        plan: bench.imagenet of params.yaml.
        ours: `advantages.Advantages`: bytes of an update as counted, and the paper's updates.
    """
    model = model_of({"model": "squeezenet"})
    updates, batch = (ours.cited["SqueezeNet's solver", key] for key in ("updates", "images to an update"))
    flops = 2 * PASSES * costs.macs(model) * updates * batch
    line = advantages.fit(ours.communication[ours.communication.dtype == advantages.PLAIN])
    sent = line.predict(model.count_params())[0] * updates
    speed = np.median(by_name(found["files"])["photographs"]["read_a_second"])
    trained = max(found["imagenet"], key=lambda row: np.median(row["images_per_second"]))
    rate = np.median(trained["images_per_second"])
    shown = []
    for gpus in (1, 8):
        hours = {
            f"reading, {plan['cores']} cores a GPU": updates * batch / (speed * plan["cores"] * gpus) / 3600,
            f"training, {trained['dtype']}": updates * batch / (rate * gpus) / 3600,
            "exchange of gradients": sent / (plan["link"] * 1e9) / 3600 if gpus > 1 else 0.0,
        }
        limit = max(hours, key=hours.get)
        shown.append({"GPUs": gpus} | {name: f"{value:.2f} h" for name, value in hours.items()} | {"limit": limit})
    facts = {"images": updates * batch, "flops": flops, "sent": sent, "speed": speed, "trained": trained, "rate": rate}
    return pd.DataFrame(shown), facts


def draw(found, narrow=False):
    """Images a second by framework (left), and accuracy against seconds by recipe (right), for what was measured."""
    trainings = pd.DataFrame([row for row in found.get("recipes", []) if "seed" in row])
    if "steps" not in found or trainings.empty:
        return {}
    figure, (left, right) = figures.subplots(2, narrow)
    rows = [row for row in found["steps"] if row["dtype"] == "float32" and row["batch"] == found["steps"][0]["batch"]]
    looks = list(zip(rows[0]["images_per_second"], ("o", "s", "^", "D"), strict=True))
    for i, row in enumerate(rows):
        ours = np.median(row["images_per_second"][KERAS])
        for j, (name, marker) in enumerate(looks):
            values = np.divide(row["images_per_second"][name], ours)
            at = np.full(len(values), i + (j - 1.5) / 6)
            left.plot(at, values, marker, color=f"C{j}", markersize=4, label=name if i == 0 else None)
    left.set_xticks(range(len(rows)), [row["network"] for row in rows])
    left.margins(y=0.3)  # room for the legend
    left.set(ylabel=f"speed by that of {KERAS}", ylim=0, title=f"training, batch {rows[0]['batch']}")
    left.legend(fontsize="x-small", loc="upper center", ncols=2)
    (timed,) = [row["seconds"] for row in found["recipes"] if "seconds" in row]
    for i, ((name, epochs), runs) in enumerate(trainings.groupby(["recipe", "epochs"], sort=False)):
        for k, row in enumerate(runs.to_dict("records")):
            label = title(name, epochs) if k == 0 else None
            right.plot(seconds_of(row, timed), np.multiply(100, row["val_accuracy"]), f"C{i}", linewidth=1, label=label)
    right.set(xscale="log", xlabel="seconds on one core", ylabel="% of the validation images", title="recipes, by seed")
    figures.plain_log(right.xaxis)
    right.legend(fontsize="x-small")
    return {"benchmarks": figure}


def context(found, measured, plan):
    """What the template shows.

    Args:
        found: of `read`.
        measured: `advantages.Advantages`.
        plan: section bench of params.yaml.
    """
    machines = sorted({row["hardware"] for topic, rows in found.items() if topic != "imagenet" for row in rows})
    shown = {"machines": machines, "tables": {}, "plan": plan}
    tables = shown["tables"]
    if "steps" in found:
        tables["steps"] = steps(found["steps"])
    if "growth" in found:
        tables |= {"profile": profile(found["growth"]), "memory": memory(found["growth"])}
    if "recipes" in found:
        tables["recipes"] = recipes(found["recipes"], plan["recipes"]["epochs"])
    if "files" in found:
        tables["files"] = files(found["files"])
    if "photographs" in (rows := by_name(found.get("files", []))):
        tables["photographs"] = photographs(rows["photographs"])
        if "imagenet" in found:
            tables["imagenet"], shown["imagenet"] = imagenet(found, plan["imagenet"], measured)
    if "import" in by_name(found.get("pipeline", [])):
        tables["pipeline"] = pipeline(found["pipeline"])
        networks, line = growth(found["pipeline"])
        shown |= {"networks": len(networks), "line": line}
    return shown
