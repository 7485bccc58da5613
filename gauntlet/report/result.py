"""The result of an experiment in words: who is more robust, by how much, how sure that is, and what is suspect."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from gauntlet.report.columns import Column
from gauntlet.report.numbers import counted, listed, p_value, per_cent, points, selection_title
from gauntlet.report.report_row import ReportRow
from gauntlet.report.summaries import ACCURACY, Comparison, Estimate
from gauntlet.results.doubts import Doubt
from gauntlet.spec.runs.objective_labels import objective_title

_SIGNIFICANT = 0.05
_MOST_NAMED = 3


def in_words(column: Column, rows: Sequence[ReportRow], compared: Sequence[Comparison], going: str | None) -> str:
    """A sentence or a few.

    Args:
        column: the accuracy that objectives are compared in.
        rows: of one selection.
        compared: all comparisons of the report.
        going: the experiment's status while it may still change.
    """
    sentences = [*_found(column, rows, compared), *_suspect(rows)]
    if going is not None:
        sentences.append(f"The experiment is {going}: this may change.")
    return " ".join(sentences)


def doubts_in_words(rows: Sequence[ReportRow]) -> Iterator[str]:
    """Every doubt about the rows, once for all objectives, seeds and epochs that share it."""
    shared: dict[str, dict[tuple[str, int], list[int]]] = {}
    # One checkpoint may be several rows'.
    for row in {row.checkpoint: row for row in rows}.values():
        for doubt in row.doubts:
            shared.setdefault(doubt.sentence, {}).setdefault((row.objective, row.epoch), []).append(row.seed)
    for sentence, whose in shared.items():
        names = [
            f"{objective_title(objective)}, {'seed' if len(seeds) == 1 else 'seeds'} {', '.join(map(str, seeds))}, "
            f"epoch {epoch}"
            for (objective, epoch), seeds in whose.items()
        ]
        yield f"{'; '.join(names)}: {sentence}"


def _found(column: Column, rows: Sequence[ReportRow], compared: Sequence[Comparison]) -> Iterator[str]:
    if not rows:
        yield "Nothing has been measured."
        return
    told = [one for one in compared if (one.metric, one.selection) == (column.key, rows[0].selection)]
    of = len({row.objective for row in rows})
    *fewer, most = sorted({row.n for row in rows})
    images = " to ".join([*(f"{n:,}" for n in fewer), counted(most, "test image")])
    where = f"Under {column.name}, on {images}"
    if len({one.selection for one in compared}) > 1:
        where += f", at their {selection_title(rows[0].selection)} checkpoints"
    if told:
        yield f"{where}, {_of_two(told, rows, column.key, of=of)}"
    else:
        yield f"{where}, {_of_one(rows, column.key, of=of)}"


def _of_one(rows: Sequence[ReportRow], key: str, *, of: int) -> str:
    """The most robust objective by itself: there is none to compare it with on the same seeds."""
    by_objective: dict[str, list[float]] = {}
    for row in rows:
        by_objective.setdefault(row.objective, []).append(row.accuracies[key])
    objective, values = max(by_objective.items(), key=lambda item: statistics.fmean(item[1]))
    found = Estimate.of(values, ACCURACY, rows[0].n)
    most = f", the most of {of} objectives" if of > 1 else ""
    keeps = f"{objective_title(objective)} keeps {per_cent(found.mean)} % right{most}"
    if found.n == 1:
        return f"{keeps}. One seed does not say what training again would change."
    return f"{keeps}: the mean over {found.n} seeds, {_spread(found, per_cent)}."


def _spread(found: Estimate, write: Callable[[float], str]) -> str:
    if found.interval is None:
        return "every seed the same"
    return f"95 % interval {write(found.interval[0])} to {write(found.interval[1])}"


def _of_two(told: Sequence[Comparison], rows: Sequence[ReportRow], key: str, *, of: int) -> str:
    """The most robust of the other objectives that share a seed with the first, which is the baseline, against it."""
    best = max(told, key=lambda comparison: comparison.difference.mean)
    ours, theirs = objective_title(best.objective), objective_title(best.baseline)
    means = {name: _means(rows, name, best.seeds, key) for name in (best.objective, best.baseline)}
    (robust, natural), (base_robust, base_natural) = means[best.objective], means[best.baseline]
    if len(told) > 1:
        shared = "" if len(told) == of - 1 else " on the same seeds"
        ours = f"{ours}, the most robust of the {len(told)} other objectives{shared},"
    return (
        f"{ours} {_verdict(best)} {theirs}: it keeps {per_cent(robust)} % right against {per_cent(base_robust)} % "
        f"({per_cent(natural)} % and {per_cent(base_natural)} % without an attack). {_how_sure(best)}"
    )


def _verdict(best: Comparison) -> str:
    """Whether more or less robust, or not told apart: by the test, or with one seed by the test images.

    Seeds that all differ by the same have no test. Then it is said what was found, and that there is none.
    """
    if _is_the_same_on_every_seed(best):
        return _found_more_or_less(best)
    if best.image_interval is not None:
        low, high = best.image_interval
        shown = low > 0 or high < 0
    else:
        shown = best.p_adjusted is not None and best.p_adjusted < _SIGNIFICANT
    if not shown:
        return "is not shown to differ in robustness from"
    return "is more robust than" if best.difference.mean > 0 else "is less robust than"


def _is_the_same_on_every_seed(best: Comparison) -> bool:
    return len(best.seeds) > 1 and best.p is None


def _found_more_or_less(best: Comparison) -> str:
    if round(best.difference.mean, 9) == 0:
        return "was right on as many images as"
    return f"was right on {'more' if best.difference.mean > 0 else 'fewer'} images than"


def _how_sure(best: Comparison) -> str:
    difference = f"The difference is {points(best.difference.mean)} points"
    if best.image_interval is not None:
        low, high = (points(end) for end in best.image_interval)
        together = best.image_interval_of or 1
        held = f" (with 95 % for all {together} comparisons of one seed together)" if together > 1 else ""
        return (
            f"{difference}, {low} to {high} as far as the test images go{held}; one seed each does not say what "
            "training again would change."
        )
    if _is_the_same_on_every_seed(best):
        return f"{difference} on every one of {len(best.seeds)} seeds: without a spread there is no test."
    p = "" if best.p_adjusted is None else f", p {_equals(best.p_adjusted)}"
    if best.p_adjusted != best.p:
        p += " (adjusted by Holm)"
    return f"{difference} over {len(best.seeds)} seeds, {_spread(best.difference, points)}{p}."


def _equals(p: float) -> str:
    written = p_value(p)
    return written if written.startswith("<") else f"= {written}"


def _means(rows: Sequence[ReportRow], objective: str, seeds: Sequence[int], key: str) -> tuple[float, float]:
    """Accuracy under attack and natural accuracy, over these seeds."""
    its = [row for row in rows if row.objective == objective and row.seed in seeds]
    return statistics.fmean(row.accuracies[key] for row in its), statistics.fmean(row.natural_accuracy for row in its)


def _suspect(rows: Sequence[ReportRow]) -> Iterator[str]:
    """Whose numbers are in doubt, and for what."""
    doubtful: dict[str, dict[str, Doubt]] = {}
    for row in rows:
        for doubt in row.doubts:
            doubtful.setdefault(row.objective, {})[doubt.kind] = doubt
    if doubtful:
        named = [_doubted(objective, found) for objective, found in list(doubtful.items())[:_MOST_NAMED]]
        more = len(doubtful) - len(named)
        yield f"In doubt: {listed([*named, *([f'{more} more'] if more else [])])}."


def _doubted(objective: str, found: Mapping[str, Doubt]) -> str:
    return f"{objective_title(objective)} ({', '.join(kind.replace('_', ' ') for kind in found)})"
