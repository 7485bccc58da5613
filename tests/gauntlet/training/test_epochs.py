"""What an epoch draws and sets for each of its batches."""

from typing import Any

import pytest
import torch

from gauntlet.data.datasets import Dataset
from gauntlet.models.architectures import build_model, initialise
from gauntlet.training.epochs import Epochs
from gauntlet.training.updates import Batch
from tests.gauntlet.examples import run_spec, some


def batches(data: Dataset, epoch: int, **changes: Any) -> list[Batch]:
    """Those of an epoch of batches of 8, none of which is learnt from."""
    spec = run_spec(**changes, **({} if "training" in changes else {"training": {"batch_size": 8}}))
    model = build_model(spec.architecture, data.image_shape, len(data.classes))
    initialise(model, 0)
    found = [update.batch for update in Epochs(spec, data, model).updates(epoch, 0)]
    return [batch for batch in found if batch is not None]


@pytest.mark.parametrize(
    ("warmup", "wanted"),
    [
        (0, [1, 1, 1, 1, 1, 1]),
        # Of three batches an epoch, the last of which has 4 images.
        (1, [1 / 3, 2 / 3, 1, 1, 1, 1]),
        (2, [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1]),
        (0.5, [2 / 3, 1, 1, 1, 1, 1]),
    ],
)
@pytest.mark.parametrize("kind", ["fgsm", "fgsm_rs", "n_fgsm", "pgd"])
def test_the_budget_grows_batch_by_batch(digits: Dataset, kind: str, warmup: float, wanted: list[float]) -> None:
    """In proportion from the first batch on, up to the whole where the warm-up ends, and it stays whole."""
    data = some(digits, train=20, test=4)
    adversary = {"kind": kind, "eps": "32/255", "warmup_epochs": warmup}
    found = [batch.strength for epoch in (1, 2) for batch in batches(data, epoch, adversary=adversary)]
    assert found == pytest.approx(wanted)


def test_an_image_is_changed_alike_in_whichever_batch_it_is(digits: Dataset) -> None:
    """Augmentation is of (seed, epoch, image): batches of another size hold the same images, changed as they were."""
    data = some(digits, train=24, test=4)
    training = {"augmentation": {"crop_padding": 2, "cutout": 4}}
    one, other, later = (
        torch.cat([batch.images for batch in batches(data, epoch, training=training | {"batch_size": size})])
        for epoch, size in ((1, 8), (1, 5), (2, 8))
    )
    assert torch.equal(one, other)
    assert not torch.equal(one.flatten(1).sort(dim=0).values, later.flatten(1).sort(dim=0).values)
