"""Axes."""

import pytest

from gauntlet.rendering.drawn.chart import Axis


@pytest.mark.parametrize(
    ("values", "whole", "ticks"),
    [
        ([11, 63], False, ["10", "20", "30", "40", "50", "60", "70"]),
        ([-1.6, 3.3], False, ["−2", "−1", "0", "1", "2", "3", "4"]),
        ([0.0, 0.031], False, ["0.00", "0.01", "0.02", "0.03", "0.04"]),
        ([1, 4], True, ["1", "2", "3", "4"]),
        ([0, 700], False, ["0", "200", "400", "600", "800"]),
        ([5, 5], False, ["5"]),
    ],
)
def test_ticks_are_round_and_few(values: list[float], whole: bool, ticks: list[str]) -> None:
    """From below the least value to above the largest, with one minus sign, as few digits as they need."""
    axis = Axis.over("", values, whole=whole)
    assert axis.low <= min(values) <= max(values) <= axis.high
    assert [written for _, written in axis.ticks()] == ticks


def test_epochs_are_counted_from_the_first() -> None:
    """An axis with given ends has its ticks between them, whole numbers where it counts."""
    assert [written for _, written in Axis("epoch", 1, 220, whole=True).ticks()] == ["50", "100", "150", "200"]
    assert [written for _, written in Axis("epoch", 1, 2, whole=True).ticks()] == ["1", "2"]
