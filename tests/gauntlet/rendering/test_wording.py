"""What an experiment is called in a sentence."""

from gauntlet.rendering.wording import describe_training
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import PAPER, WONG2020


def test_a_normalisation_is_part_of_the_network() -> None:
    """Where there is one it is told behind the architecture, and else nothing is."""
    told = [describe_training(ExperimentSpec.model_validate(preset)) for preset in (WONG2020, PAPER)]
    assert told[0].startswith("Data set cifar10, architecture preactresnet18 behind a normalisation; ")
    assert told[1].startswith("Data set cifar10, architecture cnn; ")


def test_what_trials_of_a_sweep_have_of_their_own_is_told() -> None:
    """What the sentence says is the experiment's: of a field that is swept over it is no trial's, perhaps."""
    spec = ExperimentSpec.model_validate(
        PAPER | {"sweep": {"over": {"adversary.eps": ["2/255", "4/255"], "training.epochs": [5]}, "metric": "accuracy"}}
    )
    assert describe_training(spec).endswith(" Each trial of the sweep has its own adversary.eps and training.epochs.")
    assert "trial" not in describe_training(spec.model_copy(update={"sweep": None}))
