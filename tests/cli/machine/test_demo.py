"""The demo, on fewer digits than the real one."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cli.machine.demo import QUICKSTART, run_demo
from service.settings import ServiceSettings

pytestmark = [pytest.mark.long(seconds=12), pytest.mark.thorough]


def test_the_demo_runs_the_main_job_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It trains both objectives, prints the table, classifies a held-out digit with both checkpoints, and ends.

    A proxy of the environment has no part in it.
    """
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    said = Console(file=io.StringIO(), width=100)
    small = QUICKSTART | {
        "dataset": {"train_samples": 96},
        "training": {"epochs": 2, "checkpoint_every": 1},
        "evaluation": {"samples": 4},
    }
    settings = ServiceSettings(home=tmp_path, port=0)
    run_demo(settings, said, small)
    assert isinstance(said.file, io.StringIO)
    text = said.file.getvalue()
    for expected in (
        "cross-entropy",
        "policy gradient",
        ": epoch 2 of 2, ",
        " done, 4 images, ",
        "AutoAttack",
        "held-out digit",
        str(tmp_path),
        "Stopped.",
    ):
        assert expected in text
    classified = text.partition("held-out digit")[2]
    assert "cross-entropy" in classified
    assert "policy gradient" in classified
    assert (tmp_path / "digit.png").exists()
