"""What an import says of weights, beside what a route refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.spec.checkpoint_card import ImportCard

CARD: dict[str, Any] = {"name": "theirs", "architecture": {"kind": "resnet18"}, "dataset": {"name": "cifar10"}}


@pytest.mark.parametrize(
    ("mean", "std"),
    [([125.3, 123.0, 113.9], [63.0, 62.1, 66.7]), ([0.5] * 3, [63.0] * 3), ([127.5] * 3, [1.0] * 3)],
    ids=["both", "std", "mean"],
)
def test_a_normalisation_of_pixels_up_to_255_is_refused(mean: list[float], std: list[float]) -> None:
    """Images are in [0, 1]: no mean of theirs and no deviation is above 1. What the numbers would be is said."""
    with pytest.raises(ValidationError, match=r"scale of 0 to 255: divided by 255 they are mean \[0\.") as told:
        ImportCard.model_validate(CARD | {"normalisation": {"mean": mean, "std": std}})
    if std[0] == 63.0 and mean[0] == 125.3:
        assert "mean [0.4914, 0.4824, 0.4467] and std [0.2471, 0.2435, 0.2616]" in str(told.value)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.0, 1 / 255), (1.0, 0.5), (-1.0, 0.5)])
def test_any_other_normalisation_is_as_it_is(mean: float, std: float) -> None:
    """A network may want its input in [0, 255], which is a std of 1/255."""
    card = ImportCard.model_validate(CARD | {"normalisation": {"mean": [mean] * 3, "std": [std] * 3}}).card()
    assert card.normalisation is not None
    assert card.normalisation.std == (std,) * 3
