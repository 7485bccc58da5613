"""How single pictures are attacked while somebody waits."""

from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.spec.evaluations.picture_attacks import PictureAttack


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"kind": "fgsm", "steps": 50}, "steps"),
        ({"kind": "fgsm", "draws": 3}, "draws"),
        ({"kind": "noise", "restarts": 2}, "restarts"),
        ({"kind": "noise", "loss": "margin"}, "loss"),
        ({"kind": "pgd", "draws": 3}, "draws"),
    ],
)
def test_what_an_attack_does_not_take_is_refused(asked: dict[str, Any], field: str) -> None:
    """Who asks for FGSM of fifty steps is not shown one of one step."""
    with pytest.raises(ValidationError) as told:
        PictureAttack.model_validate({"eps": ["8/255"], **asked})
    (fault,) = told.value.errors()
    assert fault["loc"] == (field,)
    assert f"there is none for {asked['kind']}" in fault["msg"]


@pytest.mark.parametrize("kind", ["fgsm", "pgd", "noise"])
def test_a_document_of_it_is_read_again(kind: str) -> None:
    """With all its fields, as a client sends it."""
    asked = PictureAttack.model_validate({"kind": kind, "eps": ["8/255"]})
    assert PictureAttack.model_validate_json(asked.model_dump_json()) == asked
