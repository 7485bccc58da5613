"""A record (benchmarks/studies/record.py) read back: what was measured of each run, for the judgement."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Epoch:
    """Accuracies after an epoch, as fractions; natural and FGSM accuracy are of the whole test set.

    `confidence` is the mean probability of the predicted class on its natural images.
    """

    epoch: int
    train: float
    natural: float
    fgsm: float
    confidence: float


@dataclass(frozen=True)
class Attacked:
    """A checkpoint's accuracy, a fraction of `n` images, under one attack.

    `selection` says why the experiment attacked it, empty where it was asked for by itself; `masking` is PASS, SUSPECT
    or empty.
    """

    epoch: int
    selection: tuple[str, ...]
    attack: str
    n: int
    accuracy: float
    masking: str


@dataclass(frozen=True)
class RunRecord:
    """One run: its objective's kind and label, its epochs in order, those kept as checkpoints, and what these bore.

    `whole` says whether it had all of its epochs; which of its checkpoints is the best is not known before.
    """

    kind: str
    label: str | None
    seed: int
    whole: bool
    history: tuple[Epoch, ...]
    kept: frozenset[int]
    attacked: tuple[Attacked, ...]

    def selected(self, selection: str) -> Epoch | None:
        """The epoch of the checkpoint that the experiment selected so; None while it has not."""
        chosen = next((one.epoch for one in self.attacked if selection in one.selection), None)
        return next((epoch for epoch in self.history if epoch.epoch == chosen), None)

    def best_on_test(self) -> Epoch | None:
        """Of the kept epochs the one with the highest FGSM accuracy on the test set, the first of equals.

        None while the run is not whole.
        """
        if not self.whole:
            return None
        return max((epoch for epoch in self.history if epoch.epoch in self.kept), key=_fgsm, default=None)

    def under(self, attack: str, epoch: int, n: int) -> Attacked | None:
        """What the checkpoint of that epoch kept under that attack on so many images."""
        return next((one for one in self.attacked if (one.attack, one.epoch, one.n) == (attack, epoch, n)), None)


def read_runs(record: Path) -> list[RunRecord]:
    """The runs of a record's folder, those without a finished epoch left out; none where there is no record."""
    if not (record / "about.json").exists():
        return []
    about = json.loads((record / "about.json").read_text(encoding="utf-8"))
    rows = list(csv.DictReader((record / "evaluations.csv").read_text(encoding="utf-8").splitlines()))
    runs = []
    for name, run in about["runs"].items():
        history = tuple(read_epochs(record / "histories" / f"{name}.csv"))
        attacked = tuple(
            Attacked(
                epoch=int(row["epoch"]),
                selection=tuple(filter(None, row["selection"].split("+"))),
                attack=row["attack"],
                n=int(row["n"]),
                accuracy=float(row["accuracy"]),
                masking=row["masking"],
            )
            for row in rows
            if row["run"] == name
        )
        if history:
            objective = run["objective"]
            kept = frozenset(checkpoint["epoch"] for checkpoint in run["checkpoints"])
            whole = run["status"] == "succeeded"
            runs.append(
                RunRecord(objective["kind"], objective.get("label"), run["seed"], whole, history, kept, attacked)
            )
    return runs


def _fgsm(epoch: Epoch) -> float:
    return epoch.fgsm


def planned_seeds(record: Path) -> tuple[int, ...]:
    """The seeds of a record's experiment; none where there is no record."""
    if not (record / "spec.json").exists():
        return ()
    return tuple(json.loads((record / "spec.json").read_text(encoding="utf-8"))["seeds"])


def read_epochs(file: Path) -> Iterator[Epoch]:
    """The epochs of a run's history, in order."""
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        yield Epoch(
            epoch=int(row["epoch"]),
            train=float(row["train_accuracy"]),
            natural=float(row["test_accuracy"]),
            fgsm=float(row["test_fgsm_accuracy"]),
            confidence=float(row["mean_confidence"]),
        )
