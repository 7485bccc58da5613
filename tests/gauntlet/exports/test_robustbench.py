"""Entries of RobustBench's list."""

import pytest

from gauntlet.errors import NotExportable
from gauntlet.exports.measured import Evaluated
from gauntlet.exports.robustbench import robustbench_entry
from gauntlet.spec.checkpoint_card import CheckpointCard


def test_an_entry_has_the_fields_and_units_of_the_list(card: CheckpointCard, evaluated: Evaluated) -> None:
    """Per cent with two decimals as text; too few images and doubts are said, and make it unreliable."""
    assert robustbench_entry(card, evaluated, name="Mine", authors="A. Author", link="https://example.org") == {
        "link": "https://example.org",
        "name": "Mine",
        "authors": "A. Author",
        "additional_data": False,
        "number_forward_passes": 1,
        "dataset": "digits",
        "venue": "Unpublished",
        "architecture": "cnn",
        "eps": "8/255",
        "clean_acc": "75.00",
        "reported": "22.50",
        "autoattack_acc": "22.50",
        "unreliable": True,
        "footnote": "Measured on the first 40 test images. It answers with *probabilities*.",
    }


def test_without_the_standard_autoattack_there_is_no_entry(card: CheckpointCard, evaluated: Evaluated) -> None:
    """The list ranks by nothing else."""
    fgsm = evaluated.outcome.model_copy(update={"attacks": evaluated.outcome.attacks[:1]})
    with pytest.raises(NotExportable, match="ranks by the standard AutoAttack"):
        robustbench_entry(card, Evaluated(fgsm, ()), name="Mine")
