"""Folders in Hugging Face's layout."""

import json
from pathlib import Path

import yaml

from gauntlet.exports.measured import Evaluated
from gauntlet.exports.model_card import model_card, write_hub_folder
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.experiment import RunSpec
from tests.gauntlet.examples import run_spec

SHA256_OF_WEIGHTS = "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0"  # of b"aaa"


def test_a_folder_holds_what_the_hub_reads(card: CheckpointCard, evaluated: Evaluated, tmp_path: Path) -> None:
    """The weights as they are, the card as JSON, and metadata whose results are the evaluation's, in per cent."""
    write_hub_folder(tmp_path / "mine", b"aaa", card, name="mine", evaluated=[evaluated])
    assert (tmp_path / "mine/model.safetensors").read_bytes() == b"aaa"
    assert CheckpointCard.model_validate(json.loads((tmp_path / "mine/config.json").read_text())) == card
    _, front, body = (tmp_path / "mine/README.md").read_text().split("---\n", 2)
    ((model,),) = [yaml.safe_load(front)["model-index"]]
    ((results,),) = [model["results"]]
    assert {metric["name"]: metric["value"] for metric in results["metrics"]} == {
        "Natural accuracy": 75.0,
        "Accuracy under FGSM at ε = 8/255 (L∞)": 50.0,
        "Accuracy under AutoAttack at ε = 8/255 (L∞)": 22.5,
    }
    assert SHA256_OF_WEIGHTS in body


def test_a_card_says_what_speaks_against_its_numbers(card: CheckpointCard, evaluated: Evaluated) -> None:
    """Each doubt in words that Markdown does not read, and that nobody looked for masked gradients."""
    told = model_card(card, name="mine", sha256="ab", evaluated=[evaluated])
    assert "**These numbers are in doubt:**\n\n- It answers with \\*probabilities\\*." in told
    assert "Nobody looked for masked gradients." in told
    assert "| AutoAttack at ε = 8/255 (L∞) | 22.5 (12.3 to 37.5) | 40 |" in told


def test_a_card_holds_the_run_that_trains_the_model_again(card: CheckpointCard) -> None:
    """As a spec; and without an evaluation it says that there is none."""
    told = model_card(card, name="mine", sha256="ab")
    (_, spec) = told.split("```yaml\n")
    assert RunSpec.model_validate(yaml.safe_load(spec.split("```")[0])) == run_spec()
    assert "trained with cross-entropy on fgsm examples for 2 epochs." in told
    assert "It has not been evaluated: nothing is known of what it withstands." in told
    assert "model-index" not in told
