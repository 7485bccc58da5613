"""The plan of the dial on Fashion-MNIST, and where its pictures come from."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.fashion.__main__ import main
from benchmarks.fashion.pictures import CLASSES, write_pictures
from gauntlet.spec.evaluations.attacks import MinimumMargin
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.reading.files import read_file
from gauntlet.spec.runs.objectives import ExpectedReward
from tests.benchmarks.records import judged_alike

_PLAN = Path(__file__).parents[2] / "benchmarks/fashion"


def test_the_spec_is_the_plans() -> None:
    """Losses differ in the number of terms alone, and each attack has the adversary's budget."""
    spec = ExperimentSpec.model_validate(read_file(_PLAN / "fashion.yaml", ExperimentSpec).fields)
    exact = [one for one in spec.objectives if isinstance(one, ExpectedReward)]
    assert [(one.label, one.terms, one.reward.correct, one.reward.wrong) for one in exact] == [
        (f"T = {terms}", terms, 1, 0) for terms in (1, 4, 16)
    ]
    assert spec.objective_labels()[0] == "cross_entropy"
    assert {(one.norm, one.eps) for one in spec.evaluation.attacks} == {(spec.adversary.norm, spec.adversary.eps)}
    assert any(isinstance(one, MinimumMargin) for one in spec.evaluation.attacks)


def test_pictures_are_those_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each class so many of the first, which are set aside for test, and all others; what is empty is none."""
    monkeypatch.setattr("benchmarks.fashion.pictures._FOR_TEST", 3)
    monkeypatch.setattr("benchmarks.fashion.pictures._TESTED", 2)
    random = np.random.default_rng(0)
    all_of_them = random.integers(0, 256, (10, 5, 784))
    for number, images in enumerate(all_of_them.tolist()):
        (tmp_path / f"{number}.json").write_text(json.dumps({"data": [*images[:3], [], *images[3:]]}))
    write_pictures(tmp_path, tmp_path / "fashion")
    for number, name in enumerate(CLASSES):
        for split, places in (("test", (0, 1)), ("train", (3, 4))):
            files = sorted((tmp_path / "fashion" / split / name).iterdir())
            found = np.stack([np.asarray(Image.open(file)) for file in files])
            assert (found == all_of_them[number][list(places)].reshape(-1, 28, 28)).all()


def test_the_committed_verdict_is_what_the_record_comes_to(tmp_path: Path) -> None:
    """Judged again, all that the command writes is the same."""
    judged_alike(main, _PLAN / "results", tmp_path, ["verdict.json", "verdict.md"])
