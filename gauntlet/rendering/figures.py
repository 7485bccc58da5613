"""The report's figures, as SVG."""

import statistics
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from textwrap import fill

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gauntlet.rendering import FIGURES, FigureName
from gauntlet.rendering.svg import PALETTE, STYLE, panels, serialise
from gauntlet.report.curves import RunCurve
from gauntlet.report.numbers import selection_title
from gauntlet.report.report import Report
from gauntlet.report.report_row import of_first_selection
from gauntlet.results.outcome import Confusion
from gauntlet.spec.attack_titles import NORMS, attack_name, attack_title
from gauntlet.spec.attacks import Norm, attack_label

TITLES: Mapping[FigureName, str] = {
    "training": "Accuracy by epoch of training, with a dot for each checkpoint",
    "gap": "Generalisation gap by epoch of training",
    "eps": "Accuracy by budget of the attack",
    "cost": "Time of training and robust accuracy",
    "confusion": "What images of each class are taken for",
}
_CURVES = {"train_accuracy": "train", "test_accuracy": "test", "test_fgsm_accuracy": "FGSM (test)"}
_MOST_NAMED_CLASSES = 20
_MOST_NUMBERED_CLASSES = 10
_LONGEST_NAME = 16
_MOST_COLUMNS = 3
_LONGEST_LINE = 44
_LONG_S = 2 * 3600.0
# Over hundreds of epochs accuracy jitters, and thick lines hide one another.
_MANY_EPOCHS, _THIN = 60, 0.9

# matplotlib's settings are the whole process's, and requests are answered in threads.
_settings = threading.Lock()


def to_svg(report: Report, name: FigureName) -> str | None:
    """The figure as an SVG document, or None where the report has nothing to draw in it."""
    with _settings, rc_context({**STYLE, "svg.hashsalt": f"gauntlet {name}"}):
        figure = _DRAWN[name](report)
        return None if figure is None else serialise(figure, f"{report.name}: {TITLES[name]}")


def drawn(report: Report) -> Iterator[tuple[FigureName, str]]:
    """Every figure that the report has something for, in order."""
    for name in FIGURES:
        if (document := to_svg(report, name)) is not None:
            yield name, document


def _training(report: Report) -> Figure | None:
    """As in the paper's figure: train, test and FGSM accuracy over epochs, a panel for each objective."""
    curves = _by_objective(report.curves)
    if not curves:
        return None
    columns = min(len(curves), _MOST_COLUMNS)
    figure, rows = panels(columns, -(-len(curves) // columns))
    axes = [panel for row in rows for panel in row]
    for panel in axes[len(curves) :]:
        panel.remove()
    for panel, (objective, runs) in zip(axes, curves.items(), strict=False):
        for (field, label), colour in zip(_CURVES.items(), PALETTE, strict=False):
            seeds = [_points(run.epochs, getattr(run, field)) for run in runs]
            mean = _draw_seeds(panel, seeds, colour, label)
            kept = [epoch for epoch in mean if report.spec.training.keeps(epoch)]
            panel.plot(kept, [mean[epoch] for epoch in kept], "o", color=colour, markersize=3.2)
        panel.set(title=fill(objective, _LONGEST_LINE), xlabel="epoch")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    for first, *_ in rows:
        first.set_ylabel("accuracy, per cent")
    axes[0].legend()
    return figure


def _gap(report: Report) -> Figure | None:
    """Train − test accuracy over epochs, in points."""
    curves = _by_objective(report.curves)
    if not curves:
        return None
    figure, ((panel,),) = panels(1)
    for (objective, runs), colour in zip(curves.items(), _colours(len(curves)), strict=True):
        gaps = [
            _points(run.epochs, [_minus(*pair) for pair in zip(run.train_accuracy, run.test_accuracy, strict=True)])
            for run in runs
        ]
        _draw_seeds(panel, gaps, colour, fill(objective, _LONGEST_LINE))
    panel.axhline(0, color="#80868f", linewidth=0.8)
    panel.set(xlabel="epoch", ylabel="train − test, points")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend()
    return figure


def _eps(report: Report) -> Figure | None:
    """Mean accuracy over seeds against ε, for each attack that has several budgets; ε = 0 is natural accuracy."""
    rows = of_first_selection(report.rows, report.spec.evaluation)
    by_norm: dict[Norm, dict[str, list[int]]] = {}
    for position, attack in enumerate(report.spec.evaluation.attacks if rows else ()):
        by_norm.setdefault(attack.norm, {}).setdefault(attack_title(attack), []).append(position)
    several = {
        norm: {title: places for title, places in by_title.items() if len(places) > 1}
        for norm, by_title in by_norm.items()
    }
    shown = {norm: by_title for norm, by_title in several.items() if by_title}
    if not shown:
        return None
    objectives = dict.fromkeys(row.objective for row in rows)
    figure, (axes,) = panels(len(shown))
    for panel, (norm, by_title) in zip(axes, shown.items(), strict=True):
        for (title, places), dashes in zip(by_title.items(), _dashes(len(by_title)), strict=True):
            for objective, colour in zip(objectives, _colours(len(objectives)), strict=True):
                its = [row for row in rows if row.objective == objective]
                line = {0.0: statistics.fmean(row.natural_accuracy for row in its)}
                for place in places:
                    eps = float(report.spec.evaluation.attacks[place].eps)
                    line[eps] = statistics.fmean(row.outcome.attacks[place].accuracy.value for row in its)
                scale = 255 if norm == "Linf" else 1
                x, y = zip(*((scale * eps, 100 * value) for eps, value in sorted(line.items())), strict=True)
                panel.plot(
                    x,
                    y,
                    dashes,
                    color=colour,
                    marker="o",
                    markersize=3,
                    label=fill(f"{objective}, {title}", _LONGEST_LINE),
                )
        panel.set(xlabel=f"ε ({NORMS[norm]}{', of 255' if norm == 'Linf' else ''})")
        panel.set_ylim(bottom=0)
        panel.legend()
    axes[0].set_ylabel("accuracy, per cent")
    return figure


def _cost(report: Report) -> Figure | None:
    """Seconds (or hours) of training against accuracy in the worst case of the first threat model, a point per run."""
    seconds = {cost.run: cost.training_seconds for cost in report.costs if cost.training_seconds > 0}
    rows = [row for row in of_first_selection(report.rows, report.spec.evaluation) if row.run in seconds]
    if not rows:
        return None
    unit, length = ("hours", 3600.0) if max(seconds.values()) > _LONG_S else ("seconds", 1.0)
    objectives = dict.fromkeys(row.objective for row in rows)
    figure, ((panel,),) = panels(1)
    for objective, colour in zip(objectives, _colours(len(objectives)), strict=True):
        its = [row for row in rows if row.objective == objective]
        robust = [100 * row.accuracies[report.headline] for row in its]
        panel.scatter(
            [seconds[row.run] / length for row in its], robust, color=colour, s=24, label=fill(objective, _LONGEST_LINE)
        )
    panel.set(xlabel=f"{unit} of training", ylabel=f"right under {report.headline_column().name}, per cent")
    # Room around the outermost points, and the worst case as what it is: a share of all images.
    panel.set_xlim(0, 1.1 * max(seconds[row.run] for row in rows) / length)
    panel.set_ylim(0, 100)
    panel.legend(loc="lower left")
    return figure


def _confusion(report: Report) -> Figure | None:
    """Share of each true class (row) taken for each class, natural and under the first budget's strongest."""
    rows = of_first_selection(report.rows, report.spec.evaluation)
    if not rows or any(row.outcome.confusion is None for row in rows):
        return None
    attacks = report.spec.evaluation.attacks
    strongest = min(
        (attacks.index(attack) for attack in report.compared_attacks()),
        key=lambda place: statistics.fmean(row.accuracies[attack_label(attacks[place])] for row in rows),
    )
    under = attack_name(attacks[strongest])
    objectives = list(dict.fromkeys(row.objective for row in rows))
    figure, axes = panels(len(objectives), 2, height=3.9)
    for objective, natural, attacked in zip(objectives, *axes, strict=True):
        its = [row for row in rows if row.objective == objective]
        classes = its[0].outcome.classes
        _heat(natural, classes, [row.outcome.confusion for row in its])
        _heat(attacked, classes, [row.outcome.attacks[strongest].confusion for row in its])
        natural.set_title(f"{fill(objective, _LONGEST_LINE)}\nnatural")
        attacked.set_title(f"{fill(objective, _LONGEST_LINE)}\n{under}")
        attacked.set_xlabel("taken for")
    for first, *_ in axes:
        first.set_ylabel("true class")
    figure.suptitle(f"per cent of each true class, {selection_title(rows[0].selection)}", fontsize=9)
    return figure


def _heat(panel: Axes, classes: Sequence[str], counted: Sequence[Confusion | None]) -> None:
    size = len(classes)
    counts = [
        [sum(one[true][taken] for one in counted if one is not None) for taken in range(size)] for true in range(size)
    ]
    shares = [[100 * count / max(1, sum(row)) for count in row] for row in counts]
    # More of one colour rather than a darker one: the ground may be white or black.
    ink = LinearSegmentedColormap.from_list("share", [PALETTE[0] + "00", PALETTE[0] + "cc"])
    panel.imshow(shares, cmap=ink, vmin=0, vmax=100, interpolation="none")
    panel.grid(visible=False)
    if size <= _MOST_NAMED_CLASSES:
        names = [name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…" for name in classes]
        panel.set_xticks(range(size), names, rotation=90)
        panel.set_yticks(range(size), names)
    if size <= _MOST_NUMBERED_CLASSES:
        for true, row in enumerate(shares):
            for taken, share in enumerate(row):
                panel.text(taken, true, f"{share:.0f}", ha="center", va="center", fontsize=6)


_DRAWN: Mapping[FigureName, Callable[[Report], Figure | None]] = {
    "training": _training,
    "gap": _gap,
    "eps": _eps,
    "cost": _cost,
    "confusion": _confusion,
}


def _by_objective(curves: Sequence[RunCurve]) -> dict[str, list[RunCurve]]:
    found: dict[str, list[RunCurve]] = {}
    for curve in curves:
        found.setdefault(curve.objective, []).append(curve)
    return found


def _points(epochs: Sequence[int], values: Sequence[float | None]) -> dict[int, float]:
    return {epoch: 100 * value for epoch, value in zip(epochs, values, strict=True) if value is not None}


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _draw_seeds(panel: Axes, seeds: Sequence[Mapping[int, float]], colour: str, label: str) -> dict[int, float]:
    """Each seed as a thin line, and their mean, over the epochs that all have reached, as a thick one; returns it."""
    common = sorted(set.intersection(*(set(seed) for seed in seeds)))
    mean = {epoch: statistics.fmean(seed[epoch] for seed in seeds) for epoch in common}
    width = _THIN if len(common) > _MANY_EPOCHS else None
    panel.plot(list(mean), list(mean.values()), color=colour, label=label, linewidth=width)
    if len(seeds) > 1:
        for seed in seeds:
            panel.plot(list(seed), list(seed.values()), color=colour, alpha=0.35, linewidth=0.7)
    return mean


def _colours(count: int) -> list[str]:
    return [PALETTE[position % len(PALETTE)] for position in range(count)]


def _dashes(count: int) -> list[str]:
    return [("-", "--", ":", "-.")[position % 4] for position in range(count)]
