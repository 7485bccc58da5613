"""The Python of docs/environment.md, as it stands there; only the learning is cut short."""

import re
from pathlib import Path

import pytest

from tests.gauntlet.examples import network

pytestmark = [pytest.mark.long(seconds=3), pytest.mark.thorough]

PAGE = Path(__file__).parents[2] / "docs/environment.md"
LONG, SHORT = "model.learn(30_000)", "model.learn(1_024)"


def test_every_block_runs_after_those_before_it() -> None:
    """One image at a time, many, attacked ones, other rewards, and Stable-Baselines3's PPO with what it comes to."""
    page = "\n".join(re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))
    assert page.count(LONG) == 1
    known: dict[str, object] = {"model": network()}
    exec(page.replace(LONG, SHORT).replace("print((mean + 1) / 2)", "accuracy = (mean + 1) / 2"), known)
    assert known["observation"].shape == (1, 16, 16)  # type: ignore[attr-defined]  # an array, by name
    right = known["accuracy"] * 360  # type: ignore[operator]  # likewise a number
    assert right == pytest.approx(round(right), abs=1e-3)
