"""Which device a job computes on."""

import pytest
import torch

from worker.jobs.devices import choose_device


def test_a_numbered_gpu_becomes_the_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch and Triton launch goes by it; other names change nothing."""
    made: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", made.append)
    assert choose_device("cuda:1") == torch.device("cuda:1")
    assert made == [torch.device("cuda:1")]
    assert [choose_device(name) for name in ("cuda", "cpu")] == [torch.device("cuda"), torch.device("cpu")]
    assert len(made) == 1
