"""Tables and plots of what `methods.py` has measured.

    python benchmarks/study/report.py FILE [FILE ...] --out DIRECTORY [--together]

Writes ``report.md`` and, for each budget of training, plots: accuracy against density, accuracy against epochs, and the
mean ranks over data sets with the critical difference of Nemenyi's test, as in Demšar, "Statistical comparisons of
classifiers over multiple data sets", Journal of Machine Learning Research 7, 2006. Accuracies are those of the test
part at the best validation epoch; curves are the validation's.
"""

import argparse
import json
import math
import sys
import warnings
from pathlib import Path

import numpy as np
from _rows import key, read
from matplotlib.figure import Figure
from scipy.stats import friedmanchisquare, rankdata, studentized_range

# Okabe and Ito's, which people with any kind of colour vision can tell apart, but for the yellow; then darker ones.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F3C8D", "#8C564B", "#7F7F7F",
           "#66A61E", "#B8860B")  # fmt: skip
LINES = ("-", "--", ":", "-.")
LEVELS = dict(zip(LINES, ((0, (7, 2)), (0, (3, 2)), (0, (1, 1.5)), (0, (7, 2, 1, 2))), strict=True))
MARKERS = "osD^vP*X<>"
WITHOUT_SETTINGS = "mlp_classifier"  # has only its own


# Statistics.


def mean_ranks(scores):
    """Mean rank of each column over the rows, 1 for the highest score; equal scores share the mean of their ranks."""
    return rankdata(-np.asarray(scores), axis=1).mean(axis=0)


def critical_difference(n_methods, n_data, alpha=0.05):
    """Difference from which two of the methods' mean ranks differ, by Nemenyi's test: q · √(k (k + 1) / 6 N)."""
    q = studentized_range.ppf(1 - alpha, n_methods, np.inf) / math.sqrt(2)
    return q * math.sqrt(n_methods * (n_methods + 1) / (6 * n_data))


def cliques(ranks, difference):
    """Longest runs of sorted mean ranks that lie less than the critical difference apart, as (first, last) indices."""
    ranks = np.asarray(ranks)
    found = []
    for first in range(len(ranks)):
        last = int(np.flatnonzero(ranks < ranks[first] + difference)[-1])
        if last > first and (not found or last > found[-1][1]):
            found.append((first, last))
    return found


# What was measured.


class Study:
    """The rows of one budget, by contender, data set and epsilon.

    Parameters
    ----------
    rows : list of dict
        Whole runs, each once.
    """

    def __init__(self, rows):
        several = len({row["settings"] for row in rows if row["method"] != WITHOUT_SETTINGS}) > 1
        self.cells, self.looks = {}, {}
        for row in rows:
            with_settings = several and row["method"] != WITHOUT_SETTINGS
            contender = f"{row['method']}, {row['settings']}" if with_settings else row["method"]
            self.looks[contender] = row["method"], row["settings"]
            self.cells.setdefault((contender, row["data"], row["epsilon"]), {})[row["seed"]] = row
        methods = list(dict.fromkeys(method for method, _ in self.looks.values()))
        settings = list(
            dict.fromkeys(settings for method, settings in self.looks.values() if method != WITHOUT_SETTINGS)
        )
        self.looks = {
            contender: {
                "color": COLOURS[methods.index(method) % len(COLOURS)],
                "linestyle": LINES[settings.index(setting) % len(LINES)] if setting in settings else "-",
                "marker": MARKERS[methods.index(method) % len(MARKERS)],
            }
            for contender, (method, setting) in self.looks.items()
        }
        self.contenders = list(self.looks)
        self.data = list(dict.fromkeys(row["data"] for row in rows))
        self.epsilons = sorted({row["epsilon"] for row in rows} - {""}, key=float) or [""]

    def numbers(self, contender, data, epsilon, column):
        """A column of all seeds; without `epsilon` of a contender that has none."""
        cell = self.cells.get((contender, data, epsilon)) or self.cells.get((contender, data, ""), {})
        return np.array([float(row[column]) for row in cell.values()])

    def accuracies(self, contender, data, epsilon):
        """Test accuracies of all seeds, in per cent."""
        return 100 * self.numbers(contender, data, epsilon, "test accuracy")

    def curve(self, contender, data, epsilon):
        """Validation accuracies (seeds, epochs), in per cent."""
        cell = self.cells.get((contender, data, epsilon)) or self.cells.get((contender, data, ""), {})
        curves = [json.loads(row["curve"]) for row in cell.values()]
        return 100 * np.array([curve[: min(map(len, curves))] for curve in curves])

    def means(self, epsilon):
        """Contenders that have been run on all data sets, and their mean accuracies (data sets, contenders)."""
        complete = [c for c in self.contenders if all(self.accuracies(c, data, epsilon).size for data in self.data)]
        means = [[self.accuracies(contender, data, epsilon).mean() for contender in complete] for data in self.data]
        return complete, np.array(means)


def load(paths):
    """Rows of all files without failures, and of each run only the last; how many rows are left out for another reason.

    Where a contender has been run with several values of its parameters, or a seed with several splits, those of the
    last row count.
    """
    rows = [row for path in paths for row in read(path) if not row["error"]]
    rows = list({key(row): row for row in rows}.values())

    def cell(row):
        return tuple(row[name] for name in ("budget", "data", "method", "settings", "epsilon"))

    last = {cell(row): row for row in rows}
    same = {(*cell(row), row["seed"]): row for row in rows if key(row)[-1] == key(last[cell(row)])[-1]}
    return list(same.values()), len(rows) - len(same)


# Tables.


def tables(study, epsilon, budget):
    """The section of an epsilon, in Markdown."""
    complete, means = study.means(epsilon)
    ranks = dict(zip(complete, mean_ranks(means) if complete else [], strict=True))
    best = [max((study.accuracies(c, data, epsilon).mean() for c in study.contenders
                 if study.accuracies(c, data, epsilon).size), default=None) for data in study.data]  # fmt: skip
    sizes = {study.accuracies(c, data, epsilon).size for c in study.contenders for data in study.data} - {0}
    if not sizes:
        return []
    n_seeds = f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
    lines = [
        f"## {f'Epsilon {epsilon}, ' if epsilon else ''}{budget}",
        "",
        f"Test accuracy in per cent at the best validation epoch, mean ± standard deviation over {n_seeds} "
        f"seed{'s' * (n_seeds != '1')}; the best of each data set in bold.",
        "",
        "|  | " + " | ".join([*study.data, "mean", "mean rank"]) + " |",
        "|---" * (len(study.data) + 3) + "|",
    ]
    for contender in study.contenders:
        cells = []
        for data, highest in zip(study.data, best, strict=True):
            values = study.accuracies(contender, data, epsilon)
            if not values.size:
                cells.append("–")
                continue
            mean = f"**{values.mean():.1f}**" if values.mean() == highest else f"{values.mean():.1f}"
            cells.append(f"{mean} ± {values.std(ddof=1):.1f}" if values.size > 1 else mean)
        if contender in ranks:
            cells += [f"{means[:, complete.index(contender)].mean():.1f}", f"{ranks[contender]:.2f}"]
        else:
            cells += ["–", "–"]
        lines.append(f"| `{contender}` | " + " | ".join(cells) + " |")
    lines += ["", *_test(complete, means), "Weights, and seconds of a run on one thread:", ""]
    lines += ["|  | " + " | ".join(study.data) + " |", "|---" * (len(study.data) + 1) + "|"]
    for contender in study.contenders:
        cells = []
        for data in study.data:
            weights, seconds = (study.numbers(contender, data, epsilon, name) for name in ("weights", "seconds"))
            cells.append(f"{weights.mean():,.0f}, {np.median(seconds):.1f} s" if weights.size else "–")
        lines.append(f"| `{contender}` | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _test(complete, means):
    """The sentence on the tests, where there is enough to test."""
    if len(complete) < 3 or len(means) < 2:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where all are equal, the statistic is 0 / 0
        statistic, p = friedmanchisquare(*means.T)
    return [
        f"Friedman's test of {len(complete)} contenders on {len(means)} data sets: χ² = {statistic:.2f}, p = {p:.2g}. "
        f"Nemenyi's critical difference of mean ranks at 0.05: {critical_difference(len(complete), len(means)):.2f}.",
        "",
    ]


# Plots. Figures are made without pyplot, whose state belongs to the caller.


def _panels(names, title):
    n_columns = min(len(names), 3 if len(names) != 4 else 2)
    n_rows = -(-len(names) // n_columns)
    figure = Figure(figsize=(max(4.0 * n_columns, 5.5), 3.1 * n_rows + 0.9), layout="constrained")
    # One panel is narrower than what the title says.
    figure.suptitle(title.replace(" (", "\n(") if n_columns == 1 else title, fontsize=11)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for axis in axes.flat[len(names) :]:
        axis.remove()
    panels = list(axes.flat[: len(names)])
    for panel, name in zip(panels, names, strict=True):
        panel.set_title(name, fontsize=10)
        panel.grid(color="0.9", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    for row in axes:
        row[0].set_ylabel("accuracy, %", fontsize=9)
    return figure, panels


def _legend(figure, panels):
    """One legend for all panels, beneath them."""
    entries = {}
    for panel in panels:
        entries |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    longest = max(map(len, entries))
    n_columns = max(1, min(len(entries), int(figure.get_figwidth() * 11 / (longest + 8))))
    figure.legend(
        entries.values(),
        entries,
        loc="outside lower center",
        ncols=n_columns,
        fontsize=9,
        frameon=False,
        handlelength=3,
    )


def plot_density(study, budget):
    """Test accuracy against density, a panel per data set."""
    figure, panels = _panels(study.data, f"Test accuracy against density, {budget} (mean and standard deviation)")
    for panel, data in zip(panels, study.data, strict=True):
        points = {}
        for contender in study.contenders:
            for epsilon in study.epsilons:
                if (contender, data, epsilon) in study.cells:
                    values = study.accuracies(contender, data, epsilon)
                    density = study.numbers(contender, data, epsilon, "density").mean()
                    points.setdefault(contender, []).append((density, values.mean(), values.std(ddof=values.size > 1)))
            if (contender, data, "") in study.cells:
                mean = study.accuracies(contender, data, "").mean()
                look = study.looks[contender]
                panel.axhline(mean, color=look["color"], linestyle=LEVELS[look["linestyle"]], linewidth=1.3,
                              label=f"{contender} (all weights)")  # fmt: skip
        densities = sorted({float(f"{point[0]:.2g}") for line in points.values() for point in line})
        if not densities:
            continue
        # Side by side, so that no error bar hides another.
        width = max(math.log10(densities[-1] / densities[0]), 0.3)
        for number, (contender, line) in enumerate(points.items()):
            density, mean, deviation = np.array(line).T
            density = density * 10 ** (0.012 * width * (number - (len(points) - 1) / 2))
            panel.errorbar(density, mean, deviation, **study.looks[contender], label=contender,
                           linewidth=1.4, markersize=4.5, elinewidth=1, capsize=2)  # fmt: skip
        panel.set_xscale("log")
        ticks = []
        for density in densities:
            if not ticks or math.log10(density / ticks[-1]) > 0.13 * width:
                ticks.append(density)
        panel.set_xticks(ticks, [f"{100 * density:.2g}%" for density in ticks])
        panel.minorticks_off()
        panel.set_xlabel("density", fontsize=9)
    _legend(figure, panels)
    return figure


def plot_curves(study, epsilon, budget):
    """Validation accuracy against epochs, a panel per data set."""
    name = f"epsilon {epsilon}, " if epsilon else ""
    figure, panels = _panels(study.data, f"Validation accuracy, {name}{budget} (mean and standard deviation)")
    for panel, data in zip(panels, study.data, strict=True):
        for contender in study.contenders:
            curves = study.curve(contender, data, epsilon)
            if not curves.size:
                continue
            look = {name: value for name, value in study.looks[contender].items() if name != "marker"}
            mean, deviation = curves.mean(axis=0), curves.std(axis=0, ddof=len(curves) > 1)
            epochs = np.arange(1, len(mean) + 1)
            panel.fill_between(epochs, mean - deviation, mean + deviation, color=look["color"], alpha=0.15, linewidth=0)
            panel.plot(epochs, mean, **look, linewidth=1.3, label=contender)
        panel.set_xlabel("epoch", fontsize=9)
        panel.locator_params(axis="x", integer=True)
    _legend(figure, panels)
    return figure


def plot_ranks(study, epsilon, budget):
    """Mean ranks; bars connect contenders that do not differ. None if there is too little to compare."""
    names, means = study.means(epsilon)
    if len(names) < 2 or len(means) < 2:
        return None
    ranks = mean_ranks(means)
    order = np.argsort(ranks, kind="stable")
    names, ranks, k = [names[index] for index in order], ranks[order], len(names)
    difference = critical_difference(k, len(means))
    bars = cliques(ranks, difference)
    top, step = 0.55 + 0.22 * len(bars), 0.42  # of the labels, beneath the bars
    half = (k + 1) // 2
    depth = top + step * (half - 1)
    figure = Figure(figsize=(9, 0.62 * (depth + 2.4)))
    axes = figure.add_axes((0, 0, 1, 1))
    # The ranks' axis takes the middle, the names both sides.
    margin = 0.55 * (k - 1)
    axes.set_xlim(1 - margin, k + margin)
    axes.set_ylim(depth + 0.4, -2.0)
    axes.axis("off")
    name = f"epsilon {epsilon}, " if epsilon else ""
    axes.text((k + 1) / 2, -1.75, f"Mean rank over {len(means)} data sets, {name}{budget} (1 is best)",
              ha="center", va="center", fontsize=11)  # fmt: skip
    axes.plot([1, k], [0, 0], color="black", linewidth=1.2)
    for rank in range(1, k + 1):
        axes.plot([rank, rank], [0, -0.14], color="black", linewidth=1.2)
        axes.text(rank, -0.2, f"{rank}", ha="center", va="bottom", fontsize=9)
    # The ruler, which may be longer than the axis where data sets are few.
    shown = min(difference, k - 1 + 0.8 * margin)
    axes.plot([1, 1 + shown], [-0.95, -0.95], color="0.35", linewidth=1.2)
    for end in (1, 1 + shown)[: 1 if shown < difference else 2]:
        axes.plot([end, end], [-1.05, -0.85], color="0.35", linewidth=1.2)
    axes.text(1 + shown / 2, -1.08, f"critical difference {difference:.2f}", ha="center", va="bottom", fontsize=9,
              color="0.35")  # fmt: skip
    for number, (first, last) in enumerate(bars):
        y = 0.3 + 0.22 * number
        ends = [ranks[first] - 0.02 * (k - 1), ranks[last] + 0.02 * (k - 1)]
        axes.plot(ends, [y, y], color="black", linewidth=4, solid_capstyle="round")
    for index, (name, rank) in enumerate(zip(names, ranks, strict=True)):
        left = index < half
        y = top + step * (index if left else k - 1 - index)
        x = 1 - 0.08 * margin if left else k + 0.08 * margin
        colour = study.looks[name]["color"]
        axes.plot([rank, rank, x], [0, y, y], color=colour, linewidth=1.2)
        text = f"{name}  ({rank:.2f})"
        axes.text(x, y, f"{text} " if left else f" {text}", ha="right" if left else "left", va="center", fontsize=9.5)
    return figure


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.add_argument("--out", required=True, metavar="DIRECTORY")
    parser.add_argument("--together", action="store_true",
                        help="one study of all data sets, each of which has one budget of its own")  # fmt: skip
    options = parser.parse_args(arguments)
    rows, n_left_out = load(options.files)
    if options.together:
        if len({(row["data"], row["budget"]) for row in rows}) > len({row["data"] for row in rows}):
            parser.error("--together asks for one budget of each data set")
        budget = " or ".join(dict.fromkeys(row["budget"] for row in rows))
        rows = [row | {"budget": budget} for row in rows]
    if not rows:
        parser.error("there are no rows without an error in these files")
    if n_left_out:
        print(f"{n_left_out} rows have other parameters or splits than the last of their kind; they are left out.")
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    processors = "; ".join(sorted({row["processor"] for row in rows}))
    lines = ["# Methods", "", f"{processors}. {'; '.join(sorted({row['versions'] for row in rows}))}.", ""]
    for budget in dict.fromkeys(row["budget"] for row in rows):
        study = Study([row for row in rows if row["budget"] == budget])
        suffix = "together" if options.together else budget.replace(" ", "_")
        figures = {f"density_{suffix}": plot_density(study, budget) if study.epsilons != [""] else None}
        for epsilon in study.epsilons:
            lines += tables(study, epsilon, budget)
            of = f"epsilon_{epsilon}_{suffix}" if epsilon else suffix
            figures[f"curves_{of}"] = plot_curves(study, epsilon, budget)
            figures[f"ranks_{of}"] = plot_ranks(study, epsilon, budget)
        for name, figure in figures.items():
            if figure is not None:
                figure.savefig(out / f"{name}.png", dpi=150, facecolor="white")
                lines += [f"![{name.replace('_', ' ')}]({name}.png)", ""]
    (out / "report.md").write_text("\n".join(lines), encoding="utf-8")
    print(f"{out / 'report.md'}: {len(rows)} runs")


if __name__ == "__main__":
    sys.exit(main())
