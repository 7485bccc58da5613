"""What the networks of the claim do differently: their margins, and which images each objective gives up.

    python -m benchmarks.claim.cause --url URL      # the Gauntlet that holds main.yaml's experiment and its checkpoints

Thought of after the verdict, so it explores: differences have intervals, and no test decides anything. Each selected
checkpoint's natural images are looked at again on the first 1,000 test images (seconds each); what AutoAttack leaves is
read from the evaluations that the claim was judged by. An image's *difficulty* is told by others: of the other seeds'
checkpoints of cross-entropy of the same selection, how many take the natural image for something else.

Written are results/cause.json and cause.md.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.studies.asked import Asked
from benchmarks.studies.systems import gauntlet_at, submitted
from gauntlet.client import GauntletClient
from gauntlet.resources import TERMINAL, Evaluation
from gauntlet.results.intervals import student_interval
from gauntlet.results.margins import MarginOutcome

_FOLDER = Path(__file__).parent
_EPS = "8/255"
_ATTACK = f"autoattack@{_EPS}"
_BASELINE, _REWARD = "cross_entropy", "policy_gradient"
_SELECTIONS = ("best_fgsm", "last")
_LEVELS = 255


@dataclass(frozen=True)
class Looked:
    """A selected checkpoint: accuracies as fractions, its margins, and the positions that are right and robust."""

    objective: str
    seed: int
    epoch: int
    selections: tuple[str, ...]
    natural: float
    robust: float
    margins: MarginOutcome
    right: frozenset[int]
    withstood: frozenset[int]

    def figures(self) -> dict[str, float]:
        """What is compared: shares in per cent, distances in 255ths, slopes in logits for a 255th."""
        margins = self.margins
        assert margins.margins is not None
        assert margins.slopes is not None
        assert margins.distances is not None
        medians = margins.margins.median, margins.slopes.median, margins.distances.median
        margin, slope, distance = (float("inf") if one is None else one for one in medians)
        (straight,) = margins.straight
        return {
            "natural accuracy": 100 * self.natural,
            "AutoAttack": 100 * self.robust,
            "mean confidence": 100 * margins.confidence,
            "given up": 100 * margins.given_up.value,
            "median margin, logits": margin,
            "median slope, logits": slope / _LEVELS,
            "median distance, 255ths": distance * _LEVELS,
            "beyond 8/255 on a straight line": 100 * straight.accuracy.value,
            "of these, lost to AutoAttack": 100 * (straight.accuracy.value - self.robust),
        }


@dataclass(frozen=True)
class Difference:
    """The reward's figure minus cross-entropy's at one selection, by seed; `interval` is Student's t at 95 %."""

    selection: str
    figure: str
    reward: float
    baseline: float
    by_seed: dict[int, float]
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class Difficulty:
    """Images that so many of the others take for something else: how many, and each objective's shares of them.

    Means over seeds, as fractions; `n` too is a mean.
    """

    selection: str
    wrong: int
    of: int
    n: float
    natural: dict[str, float]
    robust: dict[str, float]


@dataclass(frozen=True)
class Shared:
    """Of all images the shares that both withstand, or one alone; means over seeds."""

    selection: str
    both: float
    reward_alone: float
    baseline_alone: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Look at the checkpoints, and write what was seen."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="a Gauntlet that runs; without it one is started")
    parser.add_argument("--home", type=Path, default=Path("var/claim"), help="the data folder of one that is started")
    parser.add_argument("--experiment", metavar="ID", help="main.yaml's, where a Gauntlet of another version began it")
    parser.add_argument("--out", type=Path, default=_FOLDER / "results", help="the folder to write into")
    options = parser.parse_args(arguments)
    with gauntlet_at(options.url, options.home, Console()) as client:
        looked = list(look(client, options.experiment or submitted(client, _FOLDER / "main.yaml").id))
    differences, difficulties, shared = compare(looked)
    document = {
        "checkpoints": [
            {"objective": one.objective, "seed": one.seed, "epoch": one.epoch, "selections": one.selections}
            | {"margins": one.margins.model_dump(mode="json")}
            | one.figures()
            for one in looked
        ],
        "differences": [asdict(one) for one in differences],
        "difficulties": [asdict(one) for one in difficulties],
        "shared": [asdict(one) for one in shared],
    }
    (options.out / "cause.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    (options.out / "cause.md").write_text(markdown(looked, differences, difficulties, shared), encoding="utf-8")


def look(client: GauntletClient, experiment: str) -> Iterator[Looked]:
    """Each checkpoint that the experiment selected and attacked, once."""
    runs = {run.id: run for run in client.runs(experiment)}
    epochs = {kept.id: kept.epoch or 0 for run in runs for kept in client.checkpoints(run)}
    attacked = [one for one in client.evaluations(experiment=experiment) if one.selection and one.outcome is not None]
    asked = Asked(client)
    for one in attacked:
        request = {
            "checkpoint": one.checkpoint,
            "attacks": [{"kind": "fgsm", "eps": _EPS}],
            "samples": one.spec.samples,
            "batch_size": one.spec.batch_size,
        }
        asked.evaluate(f"cause-{one.checkpoint}", request)
    by_checkpoint = {one.checkpoint: one for one in _ended(asked)}
    for one in attacked:
        run, outcome, seen = runs[one.run or ""], one.outcome, by_checkpoint[one.checkpoint].outcome
        assert outcome is not None
        assert seen is not None
        assert seen.margins is not None
        images = list(client.images(one.id))
        right = frozenset(image.position for image in images if image.natural == image.label)
        withstood = frozenset(image.position for image in images if image.attacks[_ATTACK].robust)
        yield Looked(
            objective=run.spec.objective.kind,
            seed=run.seed,
            epoch=epochs[one.checkpoint],
            selections=tuple(one.selection),
            natural=len(right) / len(images),
            robust=len(withstood) / len(images),
            margins=seen.margins,
            right=right,
            withstood=withstood,
        )


def _ended(asked: Asked) -> list[Evaluation]:
    while True:
        found = asked.look()
        if all(one.status in TERMINAL for one in found):
            return found
        time.sleep(1)


def compare(looked: Sequence[Looked]) -> tuple[list[Difference], list[Difficulty], list[Shared]]:
    """Reward against cross-entropy at each selection, by the seeds that both have."""
    differences: list[Difference] = []
    difficulties: list[Difficulty] = []
    shared: list[Shared] = []
    for selection in _SELECTIONS:
        selected = {(one.objective, one.seed): one for one in looked if selection in one.selections}
        seeds = sorted(seed for kind, seed in selected if kind == _REWARD and (_BASELINE, seed) in selected)
        pairs = {seed: (selected[_REWARD, seed], selected[_BASELINE, seed]) for seed in seeds}
        if not pairs:
            continue
        differences += _differences(selection, pairs)
        difficulties += _difficulties(selection, pairs)
        shared.append(_shared(selection, pairs))
    return differences, difficulties, shared


_Pairs = Mapping[int, tuple[Looked, Looked]]


def _differences(selection: str, pairs: _Pairs) -> Iterator[Difference]:
    figures = {seed: (reward.figures(), baseline.figures()) for seed, (reward, baseline) in pairs.items()}
    for name in next(iter(figures.values()))[0]:
        by_seed = {seed: reward[name] - baseline[name] for seed, (reward, baseline) in figures.items()}
        yield Difference(
            selection=selection,
            figure=name,
            reward=statistics.fmean(reward[name] for reward, _ in figures.values()),
            baseline=statistics.fmean(baseline[name] for _, baseline in figures.values()),
            by_seed=by_seed,
            interval=student_interval(list(by_seed.values())),
        )


def _difficulties(selection: str, pairs: _Pairs) -> Iterator[Difficulty]:
    others = len(pairs) - 1
    positions = range(next(iter(pairs.values()))[0].margins.n)
    for wrong in range(others + 1):
        counted: list[tuple[int, dict[str, float], dict[str, float]]] = []
        for seed, pair in pairs.items():
            judges = [baseline for other, (_, baseline) in pairs.items() if other != seed]
            hard = {at for at in positions if sum(at not in one.right for one in judges) == wrong}
            if hard:
                natural = {one.objective: len(hard & one.right) / len(hard) for one in pair}
                robust = {one.objective: len(hard & one.withstood) / len(hard) for one in pair}
                counted.append((len(hard), natural, robust))
        if counted:
            yield Difficulty(
                selection=selection,
                wrong=wrong,
                of=others,
                n=statistics.fmean(n for n, _, _ in counted),
                natural={kind: statistics.fmean(one[kind] for _, one, _ in counted) for kind in (_REWARD, _BASELINE)},
                robust={kind: statistics.fmean(one[kind] for _, _, one in counted) for kind in (_REWARD, _BASELINE)},
            )


def _shared(selection: str, pairs: _Pairs) -> Shared:
    def mean(sizes: Iterator[float]) -> float:
        return statistics.fmean(sizes)

    found = [(reward.withstood, baseline.withstood, reward.margins.n) for reward, baseline in pairs.values()]
    return Shared(
        selection=selection,
        both=mean(len(reward & baseline) / n for reward, baseline, n in found),
        reward_alone=mean(len(reward - baseline) / n for reward, baseline, n in found),
        baseline_alone=mean(len(baseline - reward) / n for reward, baseline, n in found),
    )


def markdown(
    looked: Sequence[Looked],
    differences: Sequence[Difference],
    difficulties: Sequence[Difficulty],
    shared: Sequence[Shared],
) -> str:
    """All of it as tables."""
    lines = ["# What the claim's networks do differently", ""]
    images, seeds = looked[0].margins.n, sorted({one.seed for one in looked})
    lines += [f"The first {images:,} test images; seeds {', '.join(map(str, seeds))}. Explored after the verdict.", ""]
    lines += ["| checkpoints | figure | reward | cross-entropy | by seed | difference [95 %] |"]
    lines += ["| --- | --- | ---: | ---: | --- | ---: |"]
    for one in differences:
        mean = statistics.fmean(one.by_seed.values())
        interval = "" if one.interval is None else f" [{one.interval[0]:+.2f}, {one.interval[1]:+.2f}]"
        by_seed = ", ".join(f"{value:+.2f}" for value in one.by_seed.values())
        means = f"{one.reward:.2f} | {one.baseline:.2f}"
        lines.append(f"| {one.selection} | {one.figure} | {means} | {by_seed} | {mean:+.2f}{interval} |")
    lines += ["", "Images by how many of the other seeds' cross-entropy networks take them for something else:", ""]
    lines += ["| checkpoints | wrong | images | natural: reward | cross-entropy | AutoAttack: reward | cross-entropy |"]
    lines += ["| --- | --- | ---: | ---: | ---: | ---: | ---: |"]
    for hard in difficulties:
        shares = [hard.natural[_REWARD], hard.natural[_BASELINE], hard.robust[_REWARD], hard.robust[_BASELINE]]
        written = " | ".join(f"{100 * share:.1f}" for share in shares)
        lines.append(f"| {hard.selection} | {hard.wrong} of {hard.of} | {hard.n:.0f} | {written} |")
    lines += ["", "Images that withstand AutoAttack, in per cent of all:", ""]
    lines += ["| checkpoints | both | the reward alone | cross-entropy alone |", "| --- | ---: | ---: | ---: |"]
    for one_of in shared:
        shares = [one_of.both, one_of.reward_alone, one_of.baseline_alone]
        lines.append(f"| {one_of.selection} | {' | '.join(f'{100 * share:.1f}' for share in shares)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
