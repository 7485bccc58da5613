"""What parts of protocols leave: of a network at hand, and what follows from the records that are kept."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.correctness.protocol_parts import MADE, PARTS, left_by_ensembles, left_by_parts, summed, time_all
from benchmarks.correctness.protocols import summed as summed_hundreds
from gauntlet.data.datasets import ImageSet
from gauntlet.models.architectures import build_model
from gauntlet.spec.runs.architectures import Cnn

_RESULTS = Path(__file__).parents[2] / "benchmarks/results"


def _record(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_RESULTS / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("right", [True, False])
def test_a_network_of_which_nothing_is_left_is_recorded_too(tmp_path: Path, right: bool) -> None:
    """AutoAttack breaks neither image, or the network is wrong of both: no part has an image to try."""
    torch.manual_seed(0)
    model = build_model(Cnn(), (3, 32, 32), 10)
    save_file({name: each.contiguous() for name, each in model.state_dict().items()}, tmp_path / "one.safetensors")
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        seen = model.eval()(pixels / 255).argmax(dim=1)
    images = ImageSet.of(pixels, seen if right else (seen + 1) % 10)
    flags = [{"weights": "one", "start": 0, "images": 2, "autoattack": {"robust": [0, 1] if right else []}}]
    found = left_by_parts(tmp_path / "one.safetensors", images, flags)
    assert found == {"images": 2, "right_and_broken": 0, "hard": 0, "left": {part: [] for part in PARTS}}
    if not right:
        assert time_all(tmp_path / "one.safetensors", images, ["9 x 5"], 1, package=False)["left"] == {"9 x 5": []}


def test_the_record_of_ensembles_follows_from_that_of_parts() -> None:
    """Every row of the table of what `screen` was chosen by is in it."""
    record = _record("protocols_parts")
    made = {name: left_by_ensembles(each["left"]) for name, each in record["parts"].items()}
    assert (record["made"], record["sums"]) == (made, summed(made.values()))
    assert list(record["sums"]) == list(MADE)


@pytest.mark.parametrize("name", ["protocols_scaled", "protocols_again", "protocols_screen"])
def test_a_record_says_apart_what_was_chosen_on(name: str) -> None:
    """Sums of the states that a version was chosen on, and of the others, are those of their hundreds."""
    record = _record(name)
    assert set(record["chosen_on"]) <= set(record["states"])
    for which, chosen in (("chosen", True), ("others", False)):
        rows = [row for row in record["hundreds"] if (row["weights"] in record["chosen_on"]) == chosen]
        assert record[which] == summed_hundreds(rows)


def test_screen_says_of_each_state_that_any_version_was_chosen_on() -> None:
    """Earlier versions of it and of `fast` were, by their own records."""
    before = {state for name in ("protocols", "protocols_scaled") for state in _record(name)["chosen_on"]}
    record = _record("protocols_screen")
    assert set(record["chosen_on"]) == before & set(record["states"]) != set()
