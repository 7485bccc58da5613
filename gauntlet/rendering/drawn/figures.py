"""The report's figures: each is one panel or several, which a page lays out and a file of its own stands together."""

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from gauntlet.rendering import FigureName, history
from gauntlet.rendering.drawn.chart import Axis, Look, Series, chart
from gauntlet.rendering.drawn.heat import heat
from gauntlet.rendering.drawn.svg import PALETTE, Panel, document
from gauntlet.report.curves import RunCurve
from gauntlet.report.numbers import selection_title
from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow, of_first_selection
from gauntlet.results.outcome import Confusion
from gauntlet.spec.evaluations.attack_titles import NORMS, attack_name, attack_title
from gauntlet.spec.evaluations.attacks import Norm, attack_label
from gauntlet.spec.runs.objective_labels import objective_title

TITLES: Mapping[FigureName, str] = {
    "training": "Accuracy by epoch of training, with a dot for each checkpoint",
    "gap": "Generalisation gap by epoch of training",
    "eps": "Accuracy by budget of the attack",
    "certified": "Certified accuracy by radius under L2, of the model smoothed with noise",
    "cost": "Time of training and robust accuracy",
    "confusion": "What images of each class are taken for",
}
# What training measures every epoch, and on what.
_MEASURED = (("train_accuracy", "train"), ("test_accuracy", "test"), ("test_fgsm_accuracy", "test"))
_ACROSS: Mapping[FigureName, int] = {"training": 3, "gap": 1, "eps": 2, "certified": 1, "cost": 1, "confusion": 2}
# More of them are not told apart, and a page of a hundred panels is not looked at.
_MOST_OBJECTIVES, _MOST_CONFUSIONS = 16, 6
# Nor are their single seeds in one panel, unless there is nothing else to be drawn of an objective.
_MOST_WITH_SEEDS = 5
_LONG_S = 2 * 3600.0

T = TypeVar("T")


def panels(report: Report, name: FigureName) -> list[Panel]:
    """The panels of one figure; none where the report has nothing to draw in it."""
    return _DRAWN[name](report)


def to_svg(report: Report, name: FigureName) -> str | None:
    """The figure as a file of its own, or None where the report has nothing to draw in it."""
    drawn = panels(report, name)
    return document(drawn, f"{report.name}: {TITLES[name]}", across=_ACROSS[name]) if drawn else None


def _training(report: Report) -> list[Panel]:
    """As in the paper's figure: train, test and FGSM accuracy over epochs, a panel for each objective, on one scale."""
    if not history.has_history(report):
        return []
    found = {
        objective: [*_drawn(_accuracy(report, runs, number) for number in range(len(_MEASURED))), *_onsets(runs)]
        for objective, runs in _first(_by_objective(report.curves)).items()
    }
    drawn = {objective: series for objective, series in found.items() if series}
    if not drawn:
        return []
    y = Axis.over("accuracy, per cent", _values(series for several in drawn.values() for series in several))
    return [chart(_named(report, objective), _epochs(report), y, series) for objective, series in drawn.items()]


def _gap(report: Report) -> list[Panel]:
    """Train − test accuracy over epochs, in points."""
    if not history.has_history(report):
        return []
    series = []
    for place, (objective, runs) in enumerate(_first(_by_objective(report.curves)).items()):
        gaps: list[dict[float, float]] = [
            {
                epoch: 100 * (train - test)
                for epoch, train, test in zip(run.epochs, run.train_accuracy, run.test_accuracy, strict=True)
                if train is not None and test is not None
            }
            for run in runs
        ]
        series.append(_of_seeds(_named(report, objective), gaps, Look.line(place)))
    series = _drawn(series)
    if not series:
        return []
    if len(series) > _MOST_WITH_SEEDS:
        series = [replace(one, faint=()) if one.line else one for one in series]
    y = Axis.over("train − test, points", [0.0, *_values(series)])
    return [chart(_shown(report.objectives), _epochs(report), y, series, zero=True)]


def _eps(report: Report) -> list[Panel]:
    """Mean accuracy over seeds against ε, for each attack that has several budgets; ε = 0 is natural accuracy."""
    rows = of_first_selection(report.rows, report.spec.evaluation)
    budgets: dict[Norm, dict[str, dict[str, float]]] = {}
    for attack in report.spec.evaluation.attacks if rows else ():
        eps = float(attack.eps) * (255 if attack.norm == "Linf" else 1)
        budgets.setdefault(attack.norm, {}).setdefault(attack_title(attack), {})[attack_label(attack)] = eps
    drawn = []
    for norm, by_title in budgets.items():
        several = {title: eps for title, eps in by_title.items() if len(eps) > 1}
        if not several:
            continue
        series = [
            _by_budget(f"{_named(report, objective)}, {title}", its, eps, Look.of(place, kind))
            for place, (objective, its) in enumerate(_first(_rows_by_objective(rows)).items())
            for kind, (title, eps) in enumerate(several.items())
        ]
        x = Axis(
            f"ε ({NORMS[norm]}{', of 255' if norm == 'Linf' else ''})", 0, max(map(max, (one.line for one in series)))
        )
        y = Axis.over("accuracy, per cent", [0.0, *_values(series)])
        drawn.append(chart(", ".join(filter(None, (NORMS[norm], _shown(report.objectives)))), x, y, series))
    return drawn


def _certified(report: Report) -> list[Panel]:
    """Mean certified accuracy over seeds against the radius, for each objective."""
    rows = [row for row in of_first_selection(report.rows, report.spec.evaluation) if row.outcome.smoothing]
    series = []
    for place, (objective, its) in enumerate(_first(_rows_by_objective(rows)).items()):
        curves = [row.outcome.smoothing.curve for row in its if row.outcome.smoothing is not None]
        seeds = [{point.radius: 100 * point.accuracy.value for point in curve} for curve in curves]
        series.append(_of_seeds(_named(report, objective), seeds, Look.line(place)))
    if not series:
        return []
    x = Axis("radius (L2)", 0, max(1e-9, *(max(one.line) for one in series)))
    return [chart(_shown(report.objectives), x, Axis.over("certified, per cent", [0.0, *_values(series)]), series)]


def _cost(report: Report) -> list[Panel]:
    """Time of training against the accuracy that objectives are compared in, a point for each run."""
    seconds = {cost.run: cost.training_seconds for cost in report.costs if cost.training_seconds > 0}
    rows = [row for row in of_first_selection(report.rows, report.spec.evaluation) if row.run in seconds]
    if not rows:
        return []
    unit, length = ("hours", 3600.0) if max(seconds.values()) > _LONG_S else ("seconds", 1.0)
    series = []
    for place, (objective, its) in enumerate(_first(_rows_by_objective(rows)).items()):
        points = [
            (seconds[row.run] / length, 100 * row.accuracies[report.headline], f"{named}, seed {row.seed}")
            for named, row in ((_named(report, objective), row) for row in its)
        ]
        series.append(Series(_named(report, objective), points=points, look=Look.of(place)))
    x = Axis.over(f"{unit} of training", [0.0, *(at for one in series for at, _, _ in one.points)])
    # The accuracy as what it is: a share of all images.
    y = Axis("right under attack, per cent", 0, 100)
    return [chart(", ".join(filter(None, (report.headline_column().name, _shown(report.objectives)))), x, y, series)]


def _confusion(report: Report) -> list[Panel]:
    """Share of each true class (row) taken for each class, natural and under the strongest attack compared in."""
    rows = of_first_selection(report.rows, report.spec.evaluation)
    if not rows or any(row.outcome.confusion is None for row in rows):
        return []
    strongest = min(
        report.compared_attacks(),
        key=lambda attack: statistics.fmean(row.accuracies[attack_label(attack)] for row in rows),
    )
    place = report.spec.evaluation.attacks.index(strongest)
    drawn = []
    for objective, its in list(_rows_by_objective(rows).items())[:_MOST_CONFUSIONS]:
        named = f"{_named(report, objective)} ({selection_title(its[0].selection)})"
        for under, counted in (
            ("natural", [row.outcome.confusion for row in its]),
            (attack_name(strongest), [row.outcome.attacks[place].confusion for row in its]),
        ):
            drawn.append(heat(f"{named}, {under}, per cent", its[0].outcome.classes, _shares(counted)))
    return drawn


_DRAWN: Mapping[FigureName, Callable[[Report], list[Panel]]] = {
    "training": _training,
    "gap": _gap,
    "eps": _eps,
    "certified": _certified,
    "cost": _cost,
    "confusion": _confusion,
}


def _named(report: Report, objective: str) -> str:
    return objective_title(objective) + (" (in doubt)" if objective in report.in_doubt else "")


def _accuracy(report: Report, runs: Sequence[RunCurve], number: int) -> Series:
    """One of the accuracies of an objective, with a point on the mean for each checkpoint that was kept."""
    measure, label = _MEASURED[number]
    name = f"{history.fgsm(report)} ({label})" if measure == "test_fgsm_accuracy" else label
    seeds: list[dict[float, float]] = []
    for run in runs:
        values = zip(run.epochs, getattr(run, measure), strict=True)
        seeds.append({epoch: 100 * value for epoch, value in values if value is not None})
    series = _of_seeds(name, seeds, Look.of(number))
    kept = [epoch for epoch in series.line if report.spec.training.keeps(int(epoch))]
    points = [(epoch, series.line[epoch], f"epoch {epoch}: {series.line[epoch]:.1f} %") for epoch in kept]
    return replace(series, points=points)


def _onsets(runs: Sequence[RunCurve]) -> Iterator[Series]:
    """Where catastrophic overfitting began, on the run's accuracy under FGSM."""
    points = []
    for run in runs:
        if run.overfitting:
            epoch = run.overfitting[0]
            value = run.test_fgsm_accuracy[run.epochs.index(epoch)]
            if value is not None:
                points.append((float(epoch), 100 * value, f"seed {run.seed}, epoch {epoch}: catastrophic overfitting"))
    if points:
        yield Series("catastrophic overfitting begins", points=points, look=Look(PALETTE[len(_MEASURED)], hollow=True))


def _of_seeds(name: str, seeds: Sequence[Mapping[float, float]], look: Look) -> Series:
    """Each seed as a faint line, and their mean, over the epochs that all have reached, as a strong one."""
    common = sorted(set.intersection(*(set(seed) for seed in seeds)))
    mean = {epoch: statistics.fmean(seed[epoch] for seed in seeds) for epoch in common}
    return Series(name, line=mean, faint=[seed for seed in seeds if seed] if len(seeds) > 1 else (), look=look)


def _drawn(series: Iterable[Series]) -> list[Series]:
    """Those that have a line: what was not measured is not named either."""
    return [one for one in series if one.line or one.faint]


def _by_budget(name: str, rows: Sequence[ReportRow], eps: Mapping[str, float], look: Look) -> Series:
    line = {0.0: 100 * statistics.fmean(row.natural_accuracy for row in rows)}
    line |= {eps[key]: 100 * statistics.fmean(row.accuracies[key] for row in rows) for key in eps}
    ordered = dict(sorted(line.items()))
    points = [(at, value, f"{name}, ε = {at:g}: {value:.1f} %") for at, value in ordered.items()]
    return Series(name, line=ordered, points=points, look=look)


def _shares(counted: Sequence[Confusion | None]) -> list[list[float]]:
    """The counts of several rows together, as fractions of each true class."""
    together = [[sum(cells) for cells in zip(*rows, strict=True)] for rows in zip(*filter(None, counted), strict=True)]
    return [[count / max(1, sum(row)) for count in row] for row in together]


def _epochs(report: Report) -> Axis:
    return Axis("epoch", 1, max(curve.epochs[-1] for curve in report.curves), whole=True)


def _values(series: Iterable[Series]) -> list[float]:
    return [value for one in series for line in (one.line, *one.faint) for value in line.values()]


def _by_objective(curves: Sequence[RunCurve]) -> dict[str, list[RunCurve]]:
    found: dict[str, list[RunCurve]] = {}
    for curve in curves:
        found.setdefault(curve.objective, []).append(curve)
    return found


def _rows_by_objective(rows: Sequence[ReportRow]) -> dict[str, list[ReportRow]]:
    found: dict[str, list[ReportRow]] = {}
    for row in rows:
        found.setdefault(row.objective, []).append(row)
    return found


def _first(by_objective: Mapping[str, T]) -> dict[str, T]:
    return dict(islice(by_objective.items(), _MOST_OBJECTIVES))


def _shown(objectives: Sequence[str]) -> str:
    """That there are more objectives than are drawn, where there are."""
    more = len(objectives) > _MOST_OBJECTIVES
    return f"the first {_MOST_OBJECTIVES} of {len(objectives)} objectives" if more else ""
