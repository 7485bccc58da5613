"""A run's records as trackers of experiments read them, by these programs' own readers."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gauntlet.events import EpochFinished
from gauntlet.exports.measured import Evaluated
from gauntlet.exports.trackers import log_to_mlflow, write_tensorboard
from tests.gauntlet.examples import run_spec

pytestmark = pytest.mark.long

EPOCHS = [
    EpochFinished(1, {"train_loss": 2.0, "test_accuracy": 0.25}, seconds=3.0, images_per_second=100.0),
    EpochFinished(2, {"train_loss": 1.5, "test_accuracy": 0.5}, seconds=2.0, images_per_second=150.0),
]


def test_tensorboard_shows_every_epoch(evaluated: Evaluated, tmp_path: Path) -> None:
    """Each metric by its name, and at the last epoch what the evaluation found."""
    write_tensorboard(tmp_path, run_spec(), EPOCHS, [evaluated.outcome])
    read = EventAccumulator(str(tmp_path))
    read.Reload()

    def scalars(tag: str) -> list[tuple[int, float]]:
        return [(event.step, float(event.tensor_proto.float_val[0])) for event in read.Tensors(tag)]

    assert scalars("train_loss") == [(1, 2.0), (2, 1.5)]
    assert scalars("test_accuracy") == [(1, 0.25), (2, 0.5)]
    assert scalars("images_per_second") == [(1, 100.0), (2, 150.0)]
    assert scalars("evaluation/natural") == [(2, 0.75)]
    assert scalars("evaluation/fgsm@8/255") == [(2, 0.5)]
    (text,) = read.Tensors("spec/text_summary")
    assert '"kind": "rmsprop"' in text.tensor_proto.string_val[0].decode()


@pytest.mark.filterwarnings("ignore")  # of MLflow's own code
def test_mlflow_has_the_spec_and_every_epoch(
    evaluated: Evaluated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fields as parameters, each metric with its steps, the spec as an artifact.

    MLflow brings 20 packages of 88 MB and takes four seconds to import, so it is tested where somebody has it.
    """
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    run = log_to_mlflow("digits", "seed 0", run_spec(), EPOCHS, [evaluated.outcome])
    client = mlflow.MlflowClient()
    logged = client.get_run(run)
    assert logged.info.run_name == "seed 0"
    assert logged.data.params["training.optimizer.lr"] == "0.001"
    history = client.get_metric_history(run, "test_accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(1, 0.25), (2, 0.5)]
    assert logged.data.metrics["evaluation/natural"] == 0.75
    assert logged.data.metrics["evaluation/fgsm at 8/255"] == 0.5
    spec = json.loads(Path(client.download_artifacts(run, "spec.json", str(tmp_path))).read_text())
    assert spec == run_spec().model_dump(mode="json")
