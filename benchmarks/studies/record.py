"""An experiment as a running Gauntlet tells it, kept as files: what the service renders, and how it came about.

report.json report.md report.html report.csv report.tex   the report, in every form that the service has
figures/*.svg      its figures, as far as there is something to draw
spec.json          the spec as the service understood it
histories/*.csv    every metric of every epoch, a file for each run
evaluations.csv    every accuracy under attack of its checkpoints, those that were asked for by themselves too
events.json        what happened to each run: starts, resumes, warnings
about.json         devices, durations, attempts, sizes, fingerprints, and the machine that wrote this
"""

import csv
import hashlib
import io
import json
import re
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import gauntlet
from benchmarks.machine import describe_machine
from gauntlet.client import GauntletClient, Refused
from gauntlet.rendering import FIGURES, Format
from gauntlet.report.report import Report
from gauntlet.resources import TERMINAL, Evaluation, Experiment, Job, Run
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.evaluations.attacks import attack_label

_NOT_DRAWN = 404
# All that is rendered of the rest of a record; a judgement reads none of it.
RENDERINGS = (*(f"report.{form}" for form in get_args(Format)), *(f"figures/{name}.svg" for name in FIGURES))
EVALUATION_COLUMNS = (
    "run",
    "epoch",
    "selection",
    "attack",
    "n",
    "natural_accuracy",
    "accuracy",
    "masking",
    "device",
    "fingerprint",
    "checkpoint",
    "evaluation",
)


def write_record(
    client: GauntletClient, experiment_id: str, out: Path, about: Mapping[str, Any], leave_out: Collection[str] = ()
) -> None:
    """Fetch all that the service has of the experiment so far and write it into the folder `out`.

    Args:
        about: what the service does not tell; it goes into about.json beside what it does.
        leave_out: renderings not to keep, such as `report.html` and `figures/confusion.svg`.
    """
    experiment = client.experiment(experiment_id)
    runs = sorted(client.runs(experiment_id), key=lambda run: run.id)
    evaluations = sorted(client.evaluations(experiment=experiment_id), key=lambda evaluation: evaluation.id)
    for folder in ("figures", "histories"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    forms = {form: client.report_text(experiment_id, form) for form in get_args(Format)}
    for form, text in forms.items():
        if f"report.{form}" not in leave_out:
            _write(out / f"report.{form}", text)
    if "report.json" not in leave_out:
        _write_json(out / "report.json", json.loads(forms["json"]))  # a line for each value, for whoever compares two
    report = Report.model_validate_json(forms["json"])
    for name in FIGURES:
        if f"figures/{name}.svg" in leave_out:
            continue
        try:
            _write(out / "figures" / f"{name}.svg", client.figure(experiment_id, name))
        except Refused as refusal:
            if refusal.problem.status != _NOT_DRAWN:
                raise
    _write_json(out / "spec.json", experiment.spec.model_dump(mode="json"))
    for run in runs:
        _write(out / "histories" / f"{_file_name(run)}.csv", client.metrics_csv(run.id))
    _write(out / "evaluations.csv", _evaluations_csv(client, runs))
    _write_json(out / "events.json", {_file_name(run): _events(client, run.id) for run in runs})
    _write_json(out / "about.json", _about(client, experiment, report, runs, evaluations) | dict(about))


def sizes(home: Path) -> dict[str, int]:
    """Bytes of the database (with its write-ahead log) and of the checkpoint files of the embedded system in `home`."""
    return {
        "database_bytes": sum(file.stat().st_size for file in home.glob("gauntlet.db*")),
        "storage_bytes": sum(file.stat().st_size for file in (home / "checkpoints").rglob("*") if file.is_file()),
    }


def code_commit() -> str | None:
    """The commit of this checkout, followed by `, changed` where files differ from it; None where there is no git."""
    here = Path(__file__).parent
    try:
        commit, changes = (
            subprocess.run(["git", *command], cwd=here, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603, S607  # the user's own git
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{commit}, changed" if changes else commit


def _about(
    client: GauntletClient,
    experiment: Experiment,
    report: Report,
    runs: Sequence[Run],
    evaluations: Sequence[Evaluation],
) -> dict[str, Any]:
    jobs: list[Job] = [*runs, *evaluations]
    ended = [job.finished_at for job in jobs if job.finished_at is not None]
    started = min((job.started_at for job in jobs if job.started_at is not None), default=None)
    finished = max(ended) if ended and experiment.status in TERMINAL else None
    names = {run.id: _file_name(run) for run in runs}
    costs = {cost.run: cost for cost in report.costs}
    return {
        "experiment": experiment.id,
        "status": experiment.status,
        "started_at": _written(started),
        "finished_at": _written(finished),
        "wall_seconds": (finished - started).total_seconds() if finished and started else None,
        "recorded_on": describe_machine(),
        "version": gauntlet.__version__,
        "runs": {
            names[run.id]: _job(run)
            | {
                "objective": run.spec.objective.model_dump(mode="json"),
                "seed": run.seed,
                "training_seconds": round(costs[run.id].training_seconds, 1),
                "evaluation_seconds": round(costs[run.id].evaluation_seconds, 1),
                "checkpoints": _checkpoints(client, run.id),
            }
            for run in runs
        },
        "evaluations": [
            _job(evaluation)
            | {
                "run": names.get(evaluation.run or ""),
                "selection": evaluation.selection,
                "checkpoint": evaluation.checkpoint,
                "fingerprints": _fingerprints(evaluation),
            }
            for evaluation in evaluations
        ],
    }


def _job(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "status": job.status,
        "status_reason": job.status_reason,
        "attempts": job.attempt,
        "device": job.device,
        "started_at": _written(job.started_at),
        "finished_at": _written(job.finished_at),
    }


def _checkpoints(client: GauntletClient, run: str) -> list[dict[str, Any]]:
    """In order of epoch; the digest of the weights is what a repetition on the same machine reproduces."""
    kept = sorted(client.checkpoints(run), key=lambda checkpoint: checkpoint.epoch or 0)
    return [{"epoch": each.epoch, "sha256": each.sha256, "bytes": each.bytes} for each in kept]


def _fingerprints(evaluation: Evaluation) -> dict[str, str] | None:
    if evaluation.outcome is None:
        return None
    attacks = {attack_label(found.attack): found.fingerprint for found in evaluation.outcome.attacks}
    return {NATURAL: evaluation.outcome.natural_fingerprint} | attacks


def _evaluations_csv(client: GauntletClient, runs: Sequence[Run]) -> str:
    text = io.StringIO()
    rows = csv.DictWriter(text, EVALUATION_COLUMNS, lineterminator="\n")
    rows.writeheader()
    for run in runs:
        for checkpoint in sorted(client.checkpoints(run.id), key=lambda kept: kept.epoch or 0):
            of_run = {"run": _file_name(run), "epoch": checkpoint.epoch}
            for evaluation in sorted(client.evaluations(checkpoint=checkpoint.id), key=lambda one: one.id):
                rows.writerows(of_run | measured for measured in _accuracies(evaluation))
    return text.getvalue()


def _accuracies(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    if (outcome := evaluation.outcome) is None:
        return
    for found in outcome.attacks:
        yield {
            "selection": "+".join(evaluation.selection),
            "attack": attack_label(found.attack),
            "n": found.accuracy.n,
            "natural_accuracy": outcome.natural.value,
            "accuracy": found.accuracy.value,
            "masking": outcome.masking.verdict if outcome.masking else "",
            "device": evaluation.device,
            "fingerprint": found.fingerprint,
            "checkpoint": evaluation.checkpoint,
            "evaluation": evaluation.id,
        }


def _events(client: GauntletClient, run: str) -> list[dict[str, Any]]:
    return [event.model_dump(mode="json", exclude={"id", "object"}) for event in client.events(run)]


def _file_name(run: Run) -> str:
    """Such as `cross_entropy-seed-0`; where a label holds what a file's name should not, its digest keeps it unique."""
    name = re.sub(r"[^a-z0-9_.=-]+", "-", run.objective.lower()).strip("-")
    if name != run.objective:
        name += f"-{hashlib.sha256(run.objective.encode()).hexdigest()[:6]}"
    return f"{name}-seed-{run.seed}"


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def _write_json(file: Path, document: Mapping[str, Any]) -> None:
    _write(file, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
