"""The picture and the table of the runs on CIFAR-10."""

import csv

import numpy as np

# Epoch and test accuracy in the published log, and the levels that it gives for the others.
PUBLISHED_POINTS = ((100, 0.608), (140, 0.632), (500, 0.703), (982, 0.7385))
SET_BEST = PUBLISHED_POINTS[-1][1]
PUBLISHED_LEVELS = {"static, published": 0.692, "dense, published": 0.709}


def rows_of(paths):
    """Rows of all files, by run and seed, in the order of the epochs; a last row that a kill has cut is left out."""
    runs = {}
    for path in paths:
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                if None not in row.values():
                    runs.setdefault((row["run"], row["seed"]), []).append(row)
    return {key: sorted(rows, key=lambda row: int(row["epoch"])) for key, rows in runs.items()}


def print_table(paths):
    """Print for each run its weights, accuracies, the epoch that passes SET's best, and the work."""
    print("| run | seed | epochs | weights | best, % | last, % | passes 73.85 % | minutes | mean weights of a step |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (run, seed), rows in rows_of(paths).items():
        accuracy = np.array([float(row["test_accuracy"]) for row in rows])
        passes = np.flatnonzero(accuracy >= SET_BEST)
        mean = np.mean([int(row["weights"]) for row in rows])
        print(
            f"| {run} | {seed} | {rows[-1]['epoch']} | {int(rows[-1]['weights']):,} | {100 * accuracy.max():.2f} "
            f"| {100 * accuracy[-1]:.2f} | {rows[passes[0]]['epoch'] if passes.size else 'never'} "
            f"| {float(rows[-1]['seconds_total']) / 60:.0f} | {mean:,.0f} |"
        )


def plot(paths, png):
    """Test accuracy of all runs against the epoch, beside the published points, and against time."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    curves = {
        key: [(int(row["epoch"]), float(row["seconds_total"]) / 60, 100 * float(row["test_accuracy"])) for row in rows]
        for key, rows in rows_of(paths).items()
    }
    several_seeds = len({seed for _, seed in curves}) > 1
    figure, (by_epoch, by_time) = plt.subplots(1, 2, figsize=(12, 5), sharey=True, layout="constrained")
    for (run, seed), points in curves.items():
        epochs, minutes, accuracies = np.array(sorted(points)).T
        name = f"{run}, seed {seed}" if several_seeds else run
        label = f"{name}: best {accuracies.max():.1f} %, last {accuracies[-1]:.1f} %"
        (line,) = by_epoch.plot(epochs, accuracies, linewidth=0.9, label=label)
        by_time.plot(minutes, accuracies, linewidth=0.9, color=line.get_color())
    epochs, accuracies = np.array(PUBLISHED_POINTS).T
    by_epoch.plot(epochs, 100 * accuracies, "kD", markersize=5, zorder=3, label="SET, published")
    for (name, level), style in zip(PUBLISHED_LEVELS.items(), ("--", ":"), strict=True):
        by_epoch.axhline(100 * level, color="0.4", linestyle=style, linewidth=1, label=f"{name}: {100 * level:.1f} %")
        by_time.axhline(100 * level, color="0.4", linestyle=style, linewidth=1)
    by_epoch.set(xlabel="epoch", ylabel="test accuracy, %", xlim=(0, None))
    by_time.set(xlabel="minutes, with evaluation", xlim=(0, None))
    for panel in (by_epoch, by_time):
        panel.grid(alpha=0.25)
    by_epoch.legend(loc="lower right", fontsize=8)
    figure.suptitle("CIFAR-10, no weights shared")
    figure.savefig(png, dpi=120)
    print(f"The picture is in {png}.")
