"""The verdict as a page of Markdown. Accuracies in per cent, differences in points."""

from collections.abc import Iterator, Sequence

from benchmarks.parts.judge import Effect, Measured, Verdict

_LEAST_P = 0.001


def markdown(verdict: Verdict) -> str:
    """The effects first, then what they rest on."""
    return "\n".join(["# Which part of the reward does what, on digits", *_lines(verdict), ""])


def _lines(verdict: Verdict) -> Iterator[str]:
    for title, effects in (("under APGD-T", verdict.robust), ("natural accuracy", verdict.natural)):
        if effects:
            yield from ("", *_effects(title, effects))
    if verdict.missing:
        yield from ("", "Not decided. What has no record:", "", *(f"- {name}" for name in verdict.missing))
    yield from ("", "| action | credit | batch | dropout | updates | natural, by seed | APGD-T, by seed |")
    yield "| --- | --- | ---: | --- | ---: | ---: | ---: |"
    yield from map(_measured, verdict.measured)


def _effects(title: str, effects: Sequence[Effect]) -> Iterator[str]:
    yield f"| {title} | points [95 %] | p | p, Holm | |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for one in effects:
        low, high = one.interval
        size = f"{100 * one.size:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        yield f"| {one.name} | {size} | {_p(one.p)} | {_p(one.adjusted_p)} | **{one.found}** |"


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= _LEAST_P else f"< {_LEAST_P}"


def _measured(one: Measured) -> str:
    what = one.combination
    action, dropout = "likeliest" if what.likeliest else "sampled", "yes" if what.dropout else "no"
    accuracies = (
        ", ".join(f"{100 * value:.1f}" for value in by_seed.values()) for by_seed in (one.natural, one.robust)
    )
    return f"| {action} | {what.credit} | {what.batch} | {dropout} | {what.updates:,} | {' | '.join(accuracies)} |"
