"""The Python of docs/howto/model.md, as it stands there; only the training is cut short."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.gauntlet.examples import network

pytestmark = [pytest.mark.long(seconds=5), pytest.mark.thorough]

PAGE = Path(__file__).parents[2] / "docs/howto/model.md"
QUICKSTART, ONE_EPOCH = '{"preset": "quickstart"}', '{"preset": "quickstart", "training": {"epochs": 1}}'


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_library_trains_and_attacks(capsys: pytest.CaptureFixture[str]) -> None:
    """The first block tells each epoch with its accuracies; the second, after it, what a model withstands; the third
    the same of images that are the caller's own."""
    training, attacking, own = blocks()
    assert training.count(QUICKSTART) == 1
    known: dict[str, object] = {"model": network()}
    exec(training.replace(QUICKSTART, ONE_EPOCH), known)
    epoch, *accuracies = capsys.readouterr().out.split()
    assert epoch == "1"
    assert all(0 <= float(accuracy) <= 1 for accuracy in accuracies)
    exec(attacking, known)
    told = capsys.readouterr().out
    assert told.count("n=100 ") == 2
    assert "chance_accuracy" in told
    known |= {"images": np.random.default_rng(0).random((7, 1, 16, 16)), "labels": [0, 1, 2, 3, 4, 5, 6]}
    exec(own, known)
    assert "n=7 " in capsys.readouterr().out
