"""On which GPU steps are computed; capturing itself takes one: `test_gpu.py`."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import pytest
import torch

from gauntlet.data.datasets import Dataset
from gauntlet.training.fused.together import Ended, train_together
from gauntlet.training.loop import train
from gauntlet.training.steps.cuda_graph import on_device
from tests.gauntlet.examples import CPU, run_spec

OTHER = torch.device("cuda:1")


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """The current GPUs, the innermost last, on a machine that may have none."""
    inside: list[torch.device] = []

    @contextmanager
    def device(entered: torch.device) -> Iterator[None]:
        inside.append(entered)
        try:
            yield
        finally:
            inside.pop()

    monkeypatch.setattr(torch.cuda, "device", device)
    return inside


@pytest.mark.parametrize(("device", "within"), [(OTHER, [OTHER]), (CPU, [])], ids=str)
def test_steps_are_computed_on_their_gpu_and_what_comes_between_is_not(
    device: torch.device, within: list[torch.device], current: list[torch.device]
) -> None:
    """An end before the last step ends them too."""
    seen: list[list[torch.device]] = []
    ended = []

    def steps() -> Generator[int, None, None]:
        try:
            for number in range(3):
                seen.append(list(current))
                yield number
        finally:
            ended.append(True)

    for _ in on_device(device, steps()):
        assert not current
    assert seen == 3 * [within]
    early = on_device(device, steps())
    next(early)
    early.close()  # type: ignore[attr-defined]  # it is a generator
    assert ended == [True, True]


def test_training_goes_by_its_gpu(
    digits: Dataset, current: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone and together: seen where a run is begun, which fails then."""
    seen = []

    def moved(*_: object) -> None:
        seen.append(list(current))
        raise RuntimeError("seen")

    monkeypatch.setattr(torch.nn.Module, "to", moved)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr("gauntlet.training.fused.together._parts_on", lambda _device, data, _held: (data, data.test))
    with pytest.raises(RuntimeError, match="seen"):
        next(train(run_spec(), digits, device=OTHER))
    ((_, end),) = train_together([run_spec()], digits, device=OTHER)
    assert isinstance(end, Ended)
    assert str(end.error) == "seen"
    assert seen == [[OTHER], [OTHER]]
