"""What a report says of protocols by name beside AutoAttack."""

from typing import Any

import pytest

from tests.reports import made_up

KEPT = {"fast": 0.31, "autoattack": 0.3}


def rows(attacks: list[dict[str, Any]]) -> tuple[Any, ...]:
    """The rows of an experiment with these attacks, of which each keeps what `KEPT` says and half a point a seed."""
    report = made_up({"evaluation": {"attacks": attacks}})
    changed = []
    for row in report.rows:
        found = [
            each.model_copy(
                update={
                    "accuracy": each.accuracy.model_copy(
                        update={
                            "value": KEPT.get(each.attack.kind, 0.5) + 0.005 * row.seed * (each.attack.kind == "fast")
                        }
                    )
                }
            )
            for each in row.outcome.attacks
        ]
        changed.append(row.model_copy(update={"outcome": row.outcome.model_copy(update={"attacks": tuple(found)})}))
    return tuple(changed)


def said(attacks: list[dict[str, Any]], *, first: int | None = None) -> str:
    return made_up({"evaluation": {"attacks": attacks}}, rows=rows(attacks)[:first]).result


def test_the_difference_is_told_where_both_were_run() -> None:
    """Three seeds that lie 1.0, 1.5 and 2.0 points apart, for two objectives; of a single one both accuracies."""
    both = [{"kind": "fast", "eps": "8/255"}, {"kind": "autoattack", "eps": "8/255"}]
    assert said(both).endswith(
        " On 6 checkpoints fast at ε = 8/255 (L∞) leaves +1.5 points beside AutoAttack on the same images, on average "
        "(+1.0 to +2.0)."
    )
    assert said(both, first=1).endswith(
        ". fast at ε = 8/255 (L∞) leaves 31.0 % right and AutoAttack 30.0 % of the same images (+1.0 points)."
    )


@pytest.mark.parametrize(("kind", "version"), [("screen", 3), ("fast", 2), ("fast", 3)])
def test_a_version_is_told_with_the_difference(kind: str, version: int) -> None:
    """Behind the name, where it is not the first."""
    both = [{"kind": kind, "version": version, "eps": "8/255"}, {"kind": "autoattack", "eps": "8/255"}]
    assert f"{kind} (version {version}) at ε = 8/255 (L∞) leaves " in said(both, first=1)


def test_unlike_things_are_not_compared() -> None:
    """Another budget, another version, or a protocol alone."""
    fast = {"kind": "fast", "eps": "8/255"}
    for beside in (
        [],
        [{"kind": "autoattack", "eps": "4/255"}],
        [{"kind": "autoattack", "eps": "8/255", "version": "rand"}],
    ):
        assert "of the same images" not in said([fast, *beside])
        assert "beside AutoAttack on" not in said([fast, *beside])
