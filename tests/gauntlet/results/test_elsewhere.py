"""Results that were measured elsewhere: taken at their word, but only where they agree with themselves, and marked."""

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.rendering.elsewhere import render_elsewhere
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.elsewhere import ElsewhereResult, _counted
from gauntlet.results.intervals import wilson_interval
from tests.evaluations import elsewhere

Change = Callable[[dict[str, Any]], None]


def test_every_form_says_that_it_was_measured_elsewhere() -> None:
    """A reader of any of them is told, before any number."""
    result = elsewhere(name="their *model*")
    assert [doubt.kind for doubt in result.doubts] == ["measured_elsewhere"]
    markdown = render_elsewhere(result, "md")
    assert markdown.index("Measured elsewhere") < markdown.index("75.0")
    assert "# their \\*model\\*" in markdown
    assert "| without an attack | 100.0 (51.0 to 100.0) |" in markdown
    natural, fgsm = csv.DictReader(io.StringIO(render_elsewhere(result, "csv")))
    assert (natural["measured"], natural["doubts"]) == ("elsewhere", "measured_elsewhere")
    assert (fgsm["attack"], fgsm["accuracy"], fgsm["n"], fgsm["measured"]) == ("fgsm@8/255", "0.75", "4", "elsewhere")
    assert json.loads(render_elsewhere(result, "json"))["measured"] == "elsewhere"


def test_a_result_survives_being_written_down() -> None:
    result = elsewhere()
    assert ElsewhereResult.model_validate_json(render_elsewhere(result, "json")) == result


def set_at(*path: Any) -> Change:
    *way, last, value = path

    def change(document: dict[str, Any]) -> None:
        place: Any = document
        for step in way:
            place = place[step]
        place[last] = value

    return change


FIRST = ("outcome", "attacks", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_at(*FIRST, "accuracy", "value", 0.8), "no whole number of 4 images"),
        (set_at(*FIRST, "accuracy", "value", 1.25), "no whole number of 4 images"),
        (set_at(*FIRST, "right", "3"), "right images of fgsm@8/255 are not as many"),
        (set_at(*FIRST, "right", "16"), "right images of fgsm@8/255 are not as many of the first 4"),
        (set_at("outcome", "natural_right", "07"), "natural_right"),
        (set_at(*FIRST, "accuracy", "value", 1.0), "the interval of fgsm@8/255"),
        (set_at(*FIRST, "accuracy", "interval", [0.7, 0.8]), "the interval of fgsm@8/255"),
        (set_at(*FIRST, "accuracy", "interval", 0, 0.29), "the interval of fgsm@8/255"),
        (set_at(*FIRST, "accuracy", "interval", 1, 0.96), "the interval of fgsm@8/255"),
        (set_at(*FIRST, "accuracy", "n", 1_000), "is of 1000 images"),
        (set_at(*FIRST, "protocol", "n", 1_000), "the protocol of fgsm@8/255 is of 1000 images"),
        (set_at(*FIRST, "fingerprint", "0" * 16), "the fingerprint of fgsm@8/255"),
        (set_at("outcome", "weights_sha256", "1" * 64), "the fingerprint of natural"),
        (set_at(*FIRST, "attack", "eps", "16/255"), "attacks fgsm@16/255, and not of fgsm@8/255"),
        (set_at("spec", "samples", 2), "is of 4 images, and 2 were asked for"),
        (set_at("outcome", "natural", "n", 0), "it is of 0 images, and 4 were asked for"),
        (set_at("measured", "here"), "elsewhere"),
    ],
)
def test_what_does_not_agree_with_itself_is_refused(change: Change, said: str) -> None:
    """A number that was edited is told by what it should have been written with."""
    document = elsewhere().model_dump(mode="json")
    change(document)
    with pytest.raises(ValidationError, match=said):
        ElsewhereResult.model_validate(document)


@pytest.mark.parametrize("right", [0, 4])
def test_all_or_none_may_withstand(right: int) -> None:
    assert elsewhere(right=right).outcome.attacks[0].accuracy.value == right / 4


@pytest.mark.parametrize(("digits", "taken"), [(6, True), (4, False)])
def test_an_accuracy_may_have_lost_its_last_digits(digits: int, *, taken: bool) -> None:
    """0.333333 is one of three images; 0.3333 is no whole number of them."""
    third = round(1 / 3, digits)
    found = list(_counted("it", Accuracy(value=third, n=3, interval=wilson_interval(third, 3)), 3))
    assert (found == []) is taken
