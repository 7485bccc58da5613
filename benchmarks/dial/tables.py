"""The verdicts as a page of Markdown. Accuracies in per cent, differences in points."""

from collections.abc import Iterator, Mapping

from benchmarks.dial.judge import Difference, Trend, Verdict


def markdown(
    verdicts: Mapping[str, Verdict], title: str = "The dial from reward to cross-entropy", attack: str = "APGD-T"
) -> str:
    """One part for each data set or cell: the trends first, then what they rest on. Judged was by `attack`."""
    lines = [f"# {title}"]
    for name, verdict in verdicts.items():
        lines += _lines(name, verdict, attack)
    return "\n".join([*lines, ""])


def _lines(dataset: str, verdict: Verdict, attack: str) -> Iterator[str]:
    header = (
        f"| under {attack}, minus cross-entropy but where it says otherwise | by seed | mean [95 %] | p | p, Holm |",
        "| --- | --- | ---: | ---: | ---: |",
    )
    yield from ("", f"## {dataset}", "")
    yield "| trend over T (Page's test, one-sided) | means, in per cent or points | seeds | p | p, Holm | |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    yield from map(_trend, verdict.trends)
    yield from ("", f"| arm | seeds | natural | {attack} | gap | confidence | images |")
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for arm in verdict.arms:
        mean = arm.mean
        found = f"{100 * mean.natural:.1f} | {100 * mean.robust:.1f} | {100 * mean.gap:+.1f} | {mean.confidence:.2f}"
        yield f"| {arm.name} | {len(arm.by_seed)} | {found} | {arm.n:,} |"
    yield from ("", *header)
    yield from map(_difference, verdict.differences)
    if verdict.trained_on is not None:
        yield from ("", "Not planned, and not tested:", "", *header, _difference(verdict.trained_on))
    if verdict.missing:
        yield from ("", "What has no figure:", *(f"- {name}" for name in verdict.missing))


def _trend(found: Trend) -> str:
    means = ", ".join(f"{name}: {100 * mean:.1f}" for name, mean in found.means.items())
    return (
        f"| {found.name} | {means} | {len(found.seeds)} | {_p(found.p)} | {_p(found.adjusted_p)} | **{found.found}** |"
    )


def _difference(found: Difference) -> str:
    by_seed = ", ".join(f"{seed}: {100 * value:+.1f}" for seed, value in found.by_seed.items())
    interval = ""
    if found.interval is not None:
        interval = f" [{100 * found.interval[0]:+.1f}, {100 * found.interval[1]:+.1f}]"
    return f"| {found.name} | {by_seed} | {100 * found.mean:+.1f}{interval} | {_p(found.p)} | {_p(found.adjusted_p)} |"


def _p(p: float | None) -> str:
    return "" if p is None else f"{p:.3f}"
