"""What is done to images in front of the network, as a spec says it."""

from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import MADRY, overlay
from gauntlet.spec.reading.messages import faults
from gauntlet.spec.runs.normalisation import Normalisation, unlike_normalisation

HALF: dict[str, Any] = {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]}


def experiment(**changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate(overlay(MADRY, changes))


def test_a_spec_without_one_is_the_text_that_it_was() -> None:
    """Stored specs, their digests and fingerprints do not change; null says the same."""
    plain = ExperimentSpec.model_validate({name: value for name, value in MADRY.items() if name != "normalisation"})
    assert "normalisation" not in plain.model_dump_json()
    assert "normalisation" not in plain.runs()[0][1].model_dump_json()
    assert experiment(normalisation=None) == plain


def test_every_run_has_the_experiments() -> None:
    """Told by the experiment and by its runs, which are read back as they were."""
    spec = experiment(normalisation=HALF, seeds=[0, 1])
    assert [run.normalisation for _, run in spec.runs()] == [Normalisation.model_validate(HALF)] * 2
    assert spec.model_dump(mode="json")["normalisation"] == HALF
    assert ExperimentSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("changes", "place", "told"),
    [
        ({"mean": [0.5], "std": [0.5]}, "", "one mean and one std for each channel: 3, not 1 and 1; null leaves"),
        ({"std": [0.5, 0.5]}, "", "one mean and one std for each channel: 3, not 3 and 2; null leaves"),
        ({"std": [0.5, 0, 0.5]}, "/std/1", "must be more than 0"),
        ({"std": [0.5, 0.5, -0.5]}, "/std/2", "must be more than 0"),
        ({"std": [float("inf"), 0.5, 0.5]}, "/std/0", "must be a finite number"),
        ({"mean": [0.5, float("nan"), 0.5]}, "/mean/1", "must be a finite number"),
        ({"std": [0.5, 1e-40, 0.5]}, "", "1e-40 is next to nothing"),
        ({"mean": [125.3, 123.0, 113.9]}, "", "divided by 255 they are mean [0.4914, 0.4824, 0.4467]"),
        ({"mean": [-1e300, 0, 0]}, "", "is no mean of them"),
        ({"mean": [0, -2, 0]}, "", "-2 is no mean of them"),
        ({"means": [0.5]}, "/means", ""),
    ],
)
def test_what_is_none_of_these_images_is_refused(changes: dict[str, Any], place: str, told: str) -> None:
    """At the field, with what would do."""
    with pytest.raises(ValidationError) as caught:
        experiment(normalisation=HALF | changes)
    ((pointer, message),) = faults(caught.value.errors(), ExperimentSpec)
    assert pointer == f"/normalisation{place}"
    assert told in message


def test_grey_images_have_one_channel() -> None:
    """One mean and one std for the bundled digits; and three are refused there."""
    one = {"mean": [0.3], "std": [0.4]}
    assert experiment(dataset={"name": "digits"}, normalisation=one).runs()[0][1].normalisation is not None
    with pytest.raises(ValidationError, match="for each channel: 1, not 3 and 3"):
        experiment(dataset={"name": "digits"}, normalisation=HALF)


def test_a_sweep_may_try_it() -> None:
    """With and without, and by its parts."""
    planned = experiment(sweep={"over": {"normalisation": [None, HALF]}}).planned()
    assert [each.run.normalisation and each.run.normalisation.mean for each in planned] == [None, (0.5, 0.5, 0.5)]
    parts = experiment(normalisation=HALF, sweep={"over": {"normalisation.std": [[0.5] * 3, [1.0] * 3]}}).planned()
    assert [each.run.normalisation and each.run.normalisation.std[0] for each in parts] == [0.5, 1.0]


def test_weights_are_told_apart_by_what_their_network_sees() -> None:
    """Four ways to differ or not, each told with its numbers."""
    one, other = Normalisation(mean=(0.5,), std=(0.25,)), Normalisation(mean=(0.5,), std=(0.5,))
    assert unlike_normalisation("It", None, None) is None
    assert unlike_normalisation("It", one, Normalisation(mean=(0.5,), std=(0.25,))) is None
    ours = "normalises its input with mean [0.5] and std [0.25]"
    assert unlike_normalisation("It", one, None) == f"It {ours}, and what is trained does not."
    assert unlike_normalisation("It", None, one) == f"It does not normalise its input, and what is trained {ours}."
    assert unlike_normalisation("It", other, one) == (
        f"It normalises its input with mean [0.5] and std [0.5], and what is trained {ours}."
    )
