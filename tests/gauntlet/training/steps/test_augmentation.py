import pytest
import torch
from torch import Tensor

from gauntlet.data.datasets import Dataset
from gauntlet.spec.runs.augmentation import Augmentation
from gauntlet.training.steps.augmentation import Changes, augmented, draw_changes
from tests.gauntlet.examples import CPU, events, run_spec, some, states

IMAGE = torch.arange(1, 17, dtype=torch.uint8).view(1, 1, 4, 4)


def changes(*, flip: bool = False, crop: tuple[int, int] = (0, 0), hole: tuple[int, int] = (0, 0)) -> Changes:
    return Changes(torch.tensor([flip]), torch.tensor([crop]), torch.tensor([hole]))


def rows(image: Tensor) -> list[list[int]]:
    found: list[list[int]] = image[0, 0].tolist()
    return found


def test_each_change_by_hand() -> None:
    """A mirrored image, a crop one pixel down and to the right, and a square of two cut out of a corner."""
    plain = Augmentation(flip=True, crop_padding=1)
    assert rows(augmented(plain, IMAGE, changes(crop=(1, 1)))) == rows(IMAGE)
    assert rows(augmented(plain, IMAGE, changes(flip=True, crop=(1, 1))))[0] == [4, 3, 2, 1]
    assert rows(augmented(plain, IMAGE, changes(crop=(2, 2)))) == [
        [6, 7, 8, 0],
        [10, 11, 12, 0],
        [14, 15, 16, 0],
        [0, 0, 0, 0],
    ]
    cut = Augmentation(flip=False, crop_padding=0, cutout=2)
    assert rows(augmented(cut, IMAGE, changes(hole=(0, 3)))) == [
        [1, 2, 0, 0],
        [5, 6, 7, 8],
        [9, 10, 11, 12],
        [13, 14, 15, 16],
    ]
    assert rows(augmented(cut, IMAGE, changes(hole=(2, 2))))[1:3] == [[5, 0, 0, 8], [9, 0, 0, 12]]


def test_draws_are_of_the_image_and_the_epoch() -> None:
    """Every position occurs, half of the images are mirrored, and another epoch draws anew."""
    spec = Augmentation(crop_padding=2)
    first, again, second = (draw_changes(spec, 4_000, (8, 9), seed=0, epoch=epoch, device=CPU) for epoch in (1, 1, 2))
    assert torch.equal(first.crops, again.crops)
    assert not torch.equal(first.crops, second.crops)
    assert first.flips.double().mean() == pytest.approx(0.5, abs=0.03)
    assert {tuple(corner) for corner in first.crops.tolist()} == {(y, x) for y in range(5) for x in range(5)}
    assert {tuple(centre) for centre in first.holes.tolist()} == {(y, x) for y in range(8) for x in range(9)}
    assert not draw_changes(Augmentation(flip=False), 9, (8, 8), seed=0, epoch=1, device=CPU).flips.any()


def test_an_augmented_run_resumes_bit_by_bit(digits: Dataset) -> None:
    """In the middle of an epoch, under a warmed-up adversary with a random start, with momentum and a schedule."""
    spec = run_spec(
        adversary={"kind": "n_fgsm", "eps": "32/255", "warmup_epochs": 2},
        training={
            "augmentation": {"crop_padding": 2},
            "optimizer": {"kind": "sgd", "lr": 0.01},
            "schedule": {"kind": "one_cycle"},
            "batch_size": 8,
        },
    )
    data = some(digits, train=24, test=8)
    found = states(events(spec, data, every_state=True))
    middle = next(state for state in found if (state.epoch, state.batch) == (1, 1))
    resumed = states(events(spec, data, resume=middle))[-1]
    assert all(torch.equal(found[-1].model[name], resumed.model[name]) for name in resumed.model)
    assert all(torch.equal(found[-1].optimizer[name], resumed.optimizer[name]) for name in resumed.optimizer)
    assert any("momentum" in name for name in resumed.optimizer)
