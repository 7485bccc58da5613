"""Devices that are not there."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import gauntlet
from gauntlet.data.datasets import Dataset
from gauntlet.envs.environment import ImageClassificationEnv
from gauntlet.errors import DeviceUnavailable
from gauntlet.models.devices import found_device
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.training.fused.together import train_together
from tests.gauntlet.examples import network, run_spec

# More than any machine has.
_MISSING = "cuda:99"


def test_a_device_that_is_there_is_taken_as_it_is() -> None:
    """By its name, or as torch's own."""
    assert found_device("cpu") == found_device(torch.device("cpu")) == torch.device("cpu")
    assert found_device("meta").type == "meta"


@pytest.mark.parametrize("name", ["gpu", "", "cuda:one"])
def test_what_torch_knows_no_device_by_is_told(name: str) -> None:
    """With the names that there are."""
    with pytest.raises(DeviceUnavailable, match="it is cpu, cuda, or cuda:1 and so on"):
        found_device(name)


@pytest.mark.parametrize(
    ("count", "name", "told"),
    [
        (0, "cuda", "There is no device cuda: torch finds no GPU of CUDA's here."),
        (2, "cuda:2", "There is no device cuda:2: the last one that torch finds is cuda:1."),
    ],
)
def test_a_gpu_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch, count: int, name: str, told: str) -> None:
    """In the place of torch's own error, which is of its build or of the driver."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(DeviceUnavailable) as refused:
        found_device(name)
    assert str(refused.value).startswith(told)
    assert count == 0 or found_device("cuda") == torch.device("cuda")


def test_all_that_takes_a_device_says_so(digits: Dataset, tmp_path: Path) -> None:
    """Before anything is computed."""
    attacks = EvaluationSpec.model_validate({"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 4})
    asked: list[Callable[[], object]] = [
        lambda: gauntlet.load_model(tmp_path, _MISSING),
        lambda: gauntlet.evaluate(network(), digits.test, attacks, 10, device=_MISSING),
        lambda: next(gauntlet.train(run_spec(), digits, device=_MISSING)),
        lambda: train_together([run_spec()], digits, device=_MISSING),
        lambda: ImageClassificationEnv(device=_MISSING),
    ]
    for ask in asked:
        with pytest.raises(DeviceUnavailable):
            ask()
