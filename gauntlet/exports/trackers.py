"""A run's records in the files of trackers of experiments: its spec, every epoch, and what its evaluations found.

Each epoch is taken from `epochs` and written before the next is asked for: given a generator, such as one over
`gauntlet.train`'s events or one that waits for a service's next epoch, a tracker shows the run while it goes on.
`outcomes` are asked for after the last epoch.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from gauntlet.extras import needed
from gauntlet.results.outcome import EvaluationOutcome
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.experiment import RunSpec


class Epoch(Protocol):
    """One epoch's measurements: the library's `EpochFinished`, and what the client's `metrics` yields."""

    @property
    def epoch(self) -> int:
        """From 1."""
        ...

    @property
    def metrics(self) -> Mapping[str, float]:
        """By name; accuracies are fractions."""
        ...

    @property
    def seconds(self) -> float:
        """Of the training part."""
        ...

    @property
    def images_per_second(self) -> float:
        """Of the training part."""
        ...


def write_tensorboard(
    folder: Path, spec: RunSpec, epochs: Iterable[Epoch], outcomes: Iterable[EvaluationOutcome] = ()
) -> None:
    """Write an event file for TensorBoard: the spec as text, and a scalar for each metric and epoch.

    What evaluations found stands at the last epoch, as `evaluation/natural` and `evaluation/fgsm@8/255`. Accuracies are
    fractions.

    Args:
        folder: of this run alone; TensorBoard shows the folders below its `--logdir` side by side.
        outcomes: of the run's checkpoints; of two that attacked alike the last counts.

    Raises:
        PackageMissing: the extra `tensorboard` is not installed.
        OSError: the folder cannot be written to.
    """
    with needed("tensorboard", "Writing for TensorBoard"):
        from torch.utils.tensorboard import SummaryWriter
    last = 0
    with SummaryWriter(str(folder)) as writer:
        writer.add_text("spec", f"```json\n{spec.model_dump_json(indent=2)}\n```")
        for epoch in epochs:
            last = epoch.epoch
            for name, value in _of_epoch(epoch):
                writer.add_scalar(name, value, last, new_style=True)
            # By itself it would write every two minutes.
            writer.flush()
        for name, value in _accuracies(outcomes).items():
            writer.add_scalar(f"evaluation/{name}", value, last, new_style=True)


def log_to_mlflow(
    experiment: str, run: str, spec: RunSpec, epochs: Iterable[Epoch], outcomes: Iterable[EvaluationOutcome] = ()
) -> str:
    """Log a run to MLflow's tracking server, as `MLFLOW_TRACKING_URI` names it; MLflow's id of the run.

    Each field of the spec is a parameter, such as `training.optimizer.lr`, and each metric has a step for each epoch.
    The spec itself is the artifact `spec.json`.

    Args:
        experiment: MLflow's experiment to log into, which is made if it is not there.
        run: what to call the run.
        outcomes: as for `write_tensorboard`.

    Raises:
        PackageMissing: the extra `mlflow` is not installed.
    """
    with needed("mlflow", "Logging to MLflow"):
        import mlflow
    mlflow.set_experiment(experiment)
    last = 0
    document = spec.model_dump(mode="json")
    with mlflow.start_run(run_name=run) as started:
        mlflow.log_params(dict(_flat(document)))
        mlflow.log_dict(document, "spec.json")
        for epoch in epochs:
            last = epoch.epoch
            mlflow.log_metrics(dict(_of_epoch(epoch)), step=last)
        if accuracies := _accuracies(outcomes):
            mlflow.log_metrics({mlflow_name(name): value for name, value in accuracies.items()}, step=last)
        return str(started.info.run_id)


def write_wandb(
    folder: Path,
    project: str,
    run: str,
    spec: RunSpec,
    epochs: Iterable[Epoch],
    outcomes: Iterable[EvaluationOutcome] = (),
) -> Path:
    """Write a run for Weights & Biases, offline: no account is asked for and nothing is sent. The run's own folder.

    `wandb sync` of that folder uploads it, to an account or a server of one's own. The spec is the run's configuration,
    each metric has a step for each epoch, and what evaluations found is in its summary. The package's wish to
    keep the machine, the program and what it prints is declined. Other runs of W&B's in this process end with it.

    Args:
        folder: `wandb/offline-run-…` is made in it.
        project: W&B's project.
        run: what to call the run.
        outcomes: as for `write_tensorboard`.

    Raises:
        PackageMissing: the extra `wandb` is not installed.
        OSError: the folder cannot be written to.
    """
    with needed("wandb", "Writing for Weights & Biases"):
        import wandb
    folder.mkdir(parents=True, exist_ok=True)
    alone = wandb.Settings(
        mode="offline",
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        x_disable_stats=True,
        x_disable_meta=True,
    )
    with wandb.init(
        project=project, name=run, dir=str(folder), config=spec.model_dump(mode="json"), settings=alone
    ) as started:
        for epoch in epochs:
            started.log(dict(_of_epoch(epoch)), step=epoch.epoch)
        for name, value in _accuracies(outcomes).items():
            started.summary[f"evaluation/{name}"] = value
        place = Path(started.dir).parent
    # The file is written by a program of W&B's own, and is whole once that has ended.
    wandb.teardown()
    return place


def mlflow_name(label: str) -> str:
    """What MLflow calls an attack's accuracy, as `evaluation/pgd steps 20 at 8/255`: it refuses @ and parentheses."""
    words = label.replace("@", " at ").replace("(", " ").replace("=", " ")
    return "evaluation/" + re.sub(r"[^/\w.: -]", "", words)


def _of_epoch(epoch: Epoch) -> Iterator[tuple[str, float]]:
    yield from epoch.metrics.items()
    yield from (("seconds", epoch.seconds), ("images_per_second", epoch.images_per_second))


def _accuracies(outcomes: Iterable[EvaluationOutcome]) -> dict[str, float]:
    found: dict[str, float] = {}
    for outcome in outcomes:
        found["natural"] = outcome.natural.value
        found |= {attack_label(each.attack): each.accuracy.value for each in outcome.attacks}
    return found


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The fields of a document by their path; a list is one value."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else key)
    else:
        yield name, json.dumps(value) if isinstance(value, list) else value
