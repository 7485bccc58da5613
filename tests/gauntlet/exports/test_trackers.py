"""A run's records as trackers of experiments read them, by these programs' own readers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gauntlet.events import EpochFinished
from gauntlet.exports.measured import Evaluated
from gauntlet.exports.trackers import log_to_mlflow, write_tensorboard, write_wandb
from tests.gauntlet.examples import run_spec

pytestmark = [pytest.mark.long, pytest.mark.thorough]

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


def test_tensorboard_shows_an_epoch_before_the_next_is_there(tmp_path: Path) -> None:
    """Of a generator that goes on: what it has yielded is in the file when it is asked for more."""
    seen = []

    def training() -> Iterator[EpochFinished]:
        for epoch in EPOCHS:
            yield epoch
            read = EventAccumulator(str(tmp_path))
            read.Reload()
            seen.append([event.step for event in read.Tensors("train_loss")])

    write_tensorboard(tmp_path, run_spec(), training())
    assert seen == [[1], [1, 2]]


@pytest.mark.filterwarnings("ignore")  # of W&B's own code
def test_wandb_has_the_spec_and_every_epoch(evaluated: Evaluated, tmp_path: Path) -> None:
    """Offline and without an account; its file is read as it is written, for nothing that the package brings reads it.

    W&B brings 123 MB with a program of its own, so it is tested where somebody has it.
    """
    records = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    place = write_wandb(tmp_path, "digits", "seed 0", run_spec(), EPOCHS, [evaluated.outcome])
    (file,) = place.glob("run-*.wandb")
    found = [records.Record.FromString(each) for each in logged(file.read_bytes())]
    (run,) = (record.run for record in found if record.WhichOneof("record_type") == "run")
    assert (run.project, run.display_name) == ("digits", "seed 0")
    config = {each.key: json.loads(each.value_json) for each in run.config.update}
    assert config["training"] == run_spec().model_dump(mode="json")["training"]
    epochs = [
        {".".join(each.nested_key) or each.key: json.loads(each.value_json) for each in record.history.item}
        for record in found
        if record.WhichOneof("record_type") == "history"
    ]
    assert [(epoch["_step"], epoch["test_accuracy"]) for epoch in epochs] == [(1, 0.25), (2, 0.5)]
    summary = {}
    for record in found:
        for each in record.summary.update:
            summary[".".join(each.nested_key) or each.key] = json.loads(each.value_json)
    assert (summary["evaluation/natural"], summary["evaluation/fgsm@8/255"]) == (0.75, 0.5)
    assert "environment" not in {record.WhichOneof("record_type") for record in found}


def logged(content: bytes) -> Iterator[bytes]:
    """The records of a log in LevelDB's format: blocks of 32 KiB, of pieces with a checksum, a length and a kind."""
    place, record = 7, b""
    while place + 7 <= len(content):
        room = 32_768 - place % 32_768
        if room < 7:
            place += room
            continue
        length, kind = int.from_bytes(content[place + 4 : place + 6], "little"), content[place + 6]
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last of its pieces
            yield record
            record = b""


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
