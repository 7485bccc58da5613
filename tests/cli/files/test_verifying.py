"""`gauntlet verify`, which needs no service and no attack."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gauntlet.data.datasets import load_split
from gauntlet.evaluation.kept_pictures import gather, pictures_of
from gauntlet.evaluation.loop import evaluate
from gauntlet.models.checkpoints import encode_weights
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.kinds import Digits
from tests.command import run as gauntlet
from tests.evaluations import card
from tests.gauntlet.examples import network


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """Pictures as an evaluation keeps them, the same with one that is another's, and the weights."""
    folder = tmp_path_factory.mktemp("verified")
    weights, whole, forged = (folder / name for name in ("weights.safetensors", "whole.npz", "forged.npz"))
    weights.write_bytes(encode_weights(network(seed=0).state_dict(), card("one")))
    spec = EvaluationSpec.model_validate(
        {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 6, "keep_images": 6}
    )
    test, classes = load_split(Digits(), "test", Path("unused"))
    batches = list(evaluate(network(seed=0), test, spec, len(classes), device="cpu"))
    kept = gather(spec, test, batches, pictures_of(batches), {"classes": list(classes)})
    whole.write_bytes(kept.as_npz())
    pictures = kept.attacks[0].pictures.copy()
    pictures[1] = np.clip(pictures[1] + 0.5, 0, 1)
    forged.write_bytes(replace(kept, attacks=(replace(kept.attacks[0], pictures=pictures),)).as_npz())
    return whole, forged, weights


def test_what_is_as_said_ends_well(files: tuple[Path, Path, Path]) -> None:
    whole, _, weights = files
    done = gauntlet("verify", whole, "--weights", weights)
    assert done.exit_code == 0, done.output
    assert "fgsm@8/255: " in done.output
    assert "of 6 classified correctly, as said, at most 0.0313726 away." in done.output
    assert "another sha256" in done.output


def test_what_is_not_as_said_fails_and_is_named(files: tuple[Path, Path, Path]) -> None:
    _, forged, weights = files
    done = gauntlet("verify", forged, "--weights", weights)
    assert done.exit_code == 1
    assert "NOT as said" in done.output
    assert "farther from the original than the budget: image 1" in done.output
    said = json.loads(gauntlet("verify", forged, "--weights", weights, "--json").stdout)
    natural, fgsm = said["attacks"]
    assert (natural["holds"], fgsm["holds"], fgsm["beyond"], said["same_weights"]) == (True, False, [1], False)


def test_a_file_that_is_none_is_told(files: tuple[Path, Path, Path]) -> None:
    whole, _, weights = files
    done = gauntlet("verify", weights, "--weights", weights)
    assert (done.exit_code, "no file of an evaluation's pictures" in done.output) == (1, True)
    assert gauntlet("verify", whole, "--weights", whole).exit_code == 1
