"""Protocols by name: short for a list of attacks, and what they are made of."""

from fractions import Fraction
from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.results.protocol import Protocol, implementation
from gauntlet.spec.evaluations.attacks import AnyAttack, AutoAttack, FastProtocol, ScreenProtocol, attack_label
from gauntlet.spec.evaluations.ensembles import attacks_of, parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationRequest, EvaluationSpec
from gauntlet.spec.experiment import ExperimentSpec

EPS = Fraction(8, 255)


def test_a_protocol_is_short_for_its_attacks() -> None:
    """In a request of an evaluation; what is stored says everything itself, and reads as it was."""
    short = EvaluationSpec.model_validate({"protocol": "fast", "eps": ["4/255", "8/255"], "samples": 7})
    assert short == EvaluationSpec.model_validate(
        {"attacks": [{"kind": "fast", "version": 3, "eps": ["4/255", "8/255"]}], "samples": 7}
    )
    assert set(short.model_dump()) == {"attacks", "samples", "batch_size", "seed", "masking"}
    assert EvaluationSpec.model_validate_json(short.model_dump_json()) == short
    asked = EvaluationRequest.model_validate({"checkpoint": "ckpt_1", "protocol": "screen", "eps": "1/2", "norm": "L2"})
    assert [attack_label(attack) for attack in asked.spec().attacks] == ["screen(version=3)@L2:0.5"]


def test_a_protocol_takes_the_place_of_a_presets_attacks() -> None:
    """And leaves the rest of its evaluation."""
    preset = ExperimentSpec.model_validate({"preset": "quickstart"})
    changed = ExperimentSpec.model_validate(
        {"preset": "quickstart", "evaluation": {"protocol": "fast", "eps": "8/255"}}
    )
    assert changed.evaluation.attacks == (FastProtocol(eps=EPS, version=3),)
    assert changed.evaluation.samples == preset.evaluation.samples
    assert len(preset.evaluation.attacks) == 2


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"protocol": "fast"}, ("eps",)),
        ({"protocol": "fast", "eps": "8/0"}, ("eps",)),
        ({"protocol": "fast", "eps": ["1/255", "8/0"]}, ("eps", 1)),
        ({"protocol": "fast", "eps": "8/255", "norm": "L1"}, ("norm",)),
        ({"protocol": "slow", "eps": "8/255"}, ("protocol",)),
        ({"eps": "8/255"}, ("eps",)),
        ({"norm": "L2"}, ("norm",)),
        ({"protocol": "fast", "eps": "8/255", "attacks": [{"kind": "fgsm", "eps": "8/255"}]}, ("attacks",)),
    ],
)
def test_what_is_wrong_is_told_at_its_field(document: dict[str, Any], place: tuple[str | int, ...]) -> None:
    """Where it stands in the request, not in the list that it is short for."""
    with pytest.raises(ValidationError) as refused:
        EvaluationSpec.model_validate(document)
    assert [error["loc"] for error in refused.value.errors()] == [place]


@pytest.mark.parametrize(
    ("protocol", "labels"),
    [
        (ScreenProtocol(eps=EPS), ["pma(steps=20)@8/255", "mm(targets=3, steps=10)@8/255"]),
        (
            ScreenProtocol(eps=EPS, version=3),
            ["pma(steps=20)@8/255", "mm(steps=5, loss=scaled)@8/255", "square(queries=100)@8/255"],
        ),
        (FastProtocol(eps=EPS), ["pma@8/255", "mm@8/255"]),
        (FastProtocol(eps=EPS, version=2), ["pma@8/255", "mm@8/255", "square(queries=1000)@8/255"]),
        (
            FastProtocol(eps=EPS, version=3),
            ["pma(steps=60)@8/255", "mm(steps=40, loss=scaled)@8/255", "square(queries=1000)@8/255"],
        ),
    ],
    ids=str,
)
def test_a_protocol_is_always_the_same(protocol: ScreenProtocol | FastProtocol, labels: list[str]) -> None:
    """Its parts are its budget's; under L2 something defined there stands in for PMA, and nothing for Square."""
    assert [attack_label(part) for part in attacks_of(protocol)] == labels
    assert parts_of(protocol) == ("pma", "mm", "square")[: len(labels)]
    assert parts_of(protocol.model_copy(update={"norm": "L2"})) == ("pgd", "mm")


def test_a_version_of_a_protocol_is_another_protocol() -> None:
    """Its name says so; the first says nothing of versions, as it did before there was a second."""
    first, second, third = (FastProtocol(eps=EPS, version=version) for version in (1, 2, 3))
    assert [*map(attack_label, (first, second, third))] == [
        "fast@8/255",
        "fast(version=2)@8/255",
        "fast(version=3)@8/255",
    ]
    assert first.model_dump(mode="json") == {"kind": "fast", "eps": "8/255", "norm": "Linf"}
    assert ScreenProtocol(eps=EPS).model_dump(mode="json") == {"kind": "screen", "eps": "8/255", "norm": "Linf"}
    assert attack_label(ScreenProtocol(eps=EPS, version=3)) == "screen(version=3)@8/255"


def test_a_version_that_was_taken_back_is_none() -> None:
    """What was measured with `screen`'s second, before a release, is not read as the third."""
    with pytest.raises(ValidationError, match="1 or 3"):
        EvaluationSpec.model_validate({"attacks": [{"kind": "screen", "version": 2, "eps": "8/255"}]})


def test_protocols_are_never_ranked_with_autoattack() -> None:
    """What is ranked together has one protocol id: of these, versions too, none has another's."""

    def protocol(attack: AnyAttack) -> Protocol:
        code = implementation(attack)
        return Protocol(
            dataset="digits", dataset_sha256="ab", n=9, attack=attack, implementation=code, batch_size=100, seed=0
        )

    screens = (ScreenProtocol(eps=EPS, version=version) for version in (1, 3))
    fasts = (FastProtocol(eps=EPS, version=version) for version in (1, 2, 3))
    attacks = (*screens, *fasts, AutoAttack(eps=EPS))
    assert len({protocol(attack).id for attack in attacks}) == len(attacks) == 6
