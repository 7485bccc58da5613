"""What an environment pays for an action, as a table."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gauntlet.errors import EnvironmentMisused
from gauntlet.spec.runs.objectives import Reward

# A table is any [classes, classes] of numbers: a row for each label, a column for each action.
RewardChoice = Reward | Mapping[str, float] | ArrayLike


def reward_table(reward: RewardChoice, classes: int) -> NDArray[np.float64]:
    """The reward of each action for each label, float64 [classes, classes]: `table[label, action]`.

    Args:
        reward: a `Reward` or its fields, for one value on the diagonal and one off it; or the table itself.
        classes: how many labels and actions there are.

    Raises:
        EnvironmentMisused: the table has another shape, or a value that is infinite or not a number.
        pydantic.ValidationError: the fields are not those of a `Reward`.
    """
    if isinstance(reward, Mapping):
        reward = Reward.model_validate(reward)
    if isinstance(reward, Reward):
        return np.where(np.eye(classes, dtype=bool), reward.correct, reward.wrong)
    table = np.array(reward, dtype=np.float64)
    if table.shape != (classes, classes):
        raise EnvironmentMisused(
            f"The reward table has the shape {list(table.shape)}, and {classes} classes need [{classes}, {classes}]: "
            "a row for each label, a column for each action."
        )
    if not np.isfinite(table).all():
        raise EnvironmentMisused("The reward table has a value that is infinite or not a number.")
    return table
