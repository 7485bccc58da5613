import numpy as np
import pytest
from pydantic import ValidationError

from gauntlet.envs.rewards import reward_table
from gauntlet.errors import EnvironmentMisused
from gauntlet.spec.runs.objectives import Reward


def test_two_values_make_a_table() -> None:
    """A `Reward`, or its fields, is paid on and off the diagonal."""
    expected = [[1.0, -0.5], [-0.5, 1.0]]
    assert reward_table(Reward(wrong=-0.5), 2).tolist() == expected
    assert reward_table({"correct": 1, "wrong": -0.5}, 2).tolist() == expected


def test_a_table_is_taken_as_it_is_and_kept() -> None:
    """A table is copied: the caller's later changes do not reach the environment."""
    costs = np.array([[0.0, 3.0], [1.0, 0.0]])
    table = reward_table(-costs, 2)
    costs[0, 1] = 9
    assert table.tolist() == [[0, -3], [-1, 0]]


def test_a_table_that_means_nothing_is_refused() -> None:
    """A wrong shape, an infinite value and an unknown field are errors."""
    with pytest.raises(EnvironmentMisused, match=r"\[2, 3\], and 2 classes need \[2, 2\]"):
        reward_table([[1, 2, 3], [4, 5, 6]], 2)
    for bad in (np.inf, np.nan):
        with pytest.raises(EnvironmentMisused, match="infinite or not a number"):
            reward_table([[bad, 0], [0, 1]], 2)
    with pytest.raises(ValidationError):
        reward_table({"right": 1}, 2)
