"""What an experiment is called in a sentence."""

from gauntlet.rendering.wording import describe_training
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import PAPER, WONG2020


def test_a_normalisation_is_part_of_the_network() -> None:
    """Where there is one it is told behind the architecture, and else nothing is."""
    told = [describe_training(ExperimentSpec.model_validate(preset)) for preset in (WONG2020, PAPER)]
    assert told[0].startswith("Data set cifar10, architecture preactresnet18 behind a normalisation; ")
    assert told[1].startswith("Data set cifar10, architecture cnn; ")
