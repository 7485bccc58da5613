"""The verdict as a page of Markdown."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.claim.judge import TOLERANCE, Comparison, Verdict


def markdown(verdict: Verdict) -> str:
    """The answer first, then what it rests on. Accuracies in per cent, differences in points."""
    return "\n".join([*_lines(verdict), ""])


def _lines(verdict: Verdict) -> Iterator[str]:
    yield f"# The paper's claim, action = argmax and reward minus its batch mean: {verdict.answer}"
    comparisons = [*verdict.primary, *([verdict.held_out] if verdict.held_out else [])]
    yield from _compared("Robust accuracy, reward minus cross-entropy", comparisons)
    yield from _compared("The same on four other seeds", verdict.replication)
    for repeated in verdict.replication:
        yield from ("", f"{repeated.name}: {'confirmed' if repeated.significant else 'not confirmed'}.")
    if verdict.statements:
        yield from ("", "## What the paper states", "", "| statement | by seed | true of |", "| --- | --- | ---: |")
        for said in verdict.statements:
            figures = _by_seed(said.figures, lambda figure: f"{figure:+.3f}")
            yield f"| {said.name} | {figures} | {len(said.true_of)} of {len(said.figures)} |"
    if verdict.table:
        yield from ("", f"## Table 1 (reproduced: the mean within {100 * TOLERANCE:.0f} points)", "")
        yield "| number | the paper | ours: mean | by seed | images | |"
        yield "| --- | ---: | ---: | --- | ---: | --- |"
        for row in verdict.table:
            figures = _by_seed(row.by_seed, lambda figure: f"{100 * figure:.1f}")
            ends = f"{row.n:,} | {'pass' if row.passed else 'fail'} |"
            yield f"| {row.name} | {100 * row.published:.2f} | {100 * row.mean:.1f} | {figures} | {ends}"
    if verdict.loops:
        yield from ("", "## The batch of the paper's loop: cross-entropy after epoch 60, nearest first", "")
        yield "| batch | seeds | natural | FGSM | points from the paper's 50.96 and 32.86, together |"
        yield "| ---: | ---: | ---: | ---: | ---: |"
        for loop in verdict.loops:
            accuracies = f"{100 * loop.natural:.1f} | {100 * loop.fgsm:.1f} | {100 * loop.distance:.1f}"
            yield f"| {loop.batch} | {len(loop.seeds)} | {accuracies} |"
    if verdict.missing:
        yield from ("", "Not measured yet:", *(f"- {name}" for name in verdict.missing))


def _compared(title: str, comparisons: Sequence[Comparison]) -> Iterator[str]:
    if comparisons:
        yield from ("", f"## {title}", "")
        yield "| comparison | by seed | mean [95 % interval] | p | p, Holm | gradients masked |"
        yield "| --- | --- | ---: | ---: | ---: | --- |"
        yield from map(_comparison, comparisons)


def _comparison(found: Comparison) -> str:
    interval = ""
    if found.interval is not None:
        interval = f" [{100 * found.interval[0]:+.1f}, {100 * found.interval[1]:+.1f}]"
    masked = f"SUSPECT, seeds {', '.join(map(str, found.suspect))}" if found.suspect else "no sign"
    by_seed = _by_seed(found.differences, lambda figure: f"{100 * figure:+.1f}")
    tests = " | ".join("" if p is None else f"{p:.3f}" for p in (found.p, found.adjusted_p))
    return f"| {found.name} | {by_seed} | {100 * found.mean:+.1f}{interval} | {tests} | {masked} |"


def _by_seed(figures: Mapping[int, float], written: Callable[[float], str]) -> str:
    return ", ".join(f"{seed}: {written(figure)}" for seed, figure in figures.items())
