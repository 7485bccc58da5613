"""The vector environment: a batch of images at a time, as arrays throughout."""

from typing import Any, Unpack

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import ArrayLike, NDArray

from gauntlet.envs.classification import Classification, Judged, Settings, Shown
from gauntlet.envs.frames import FRAMES_PER_SECOND, Frame, RenderMode, draw_frames
from gauntlet.models.precision import Model


class ImageClassificationVectorEnv(VectorEnv[NDArray[np.float32], ArrayLike, NDArray[Any]]):
    """`num_envs` images at a time out of one stream of shuffled passes; the adversary attacks them as one batch.

    Environments are reset in the step that ends their episodes (`AutoresetMode.SAME_STEP`): with one image to an
    episode, any other mode would spend every second step on resets. So the observations of a step are those of the new
    episodes, and what the old ones ended with is in `final_obs`, an object array [n] of images, and `final_info`. As
    in Gymnasium's own vector environments, `info` holds arrays, each beside its mask; what is in them is what the
    single environment says. All environments begin and end together. One alone does what the single environment does,
    bit by bit, but for a reset by hand, which begins a new pass.

    Where a pass ends within a batch, its last images are in the last slots. With one image to an episode, the first as
    many episodes after a reset as there are images, counted as Stable-Baselines3's `evaluate_policy` counts them, are
    therefore each image once.

    Args:
        num_envs: how many images are shown at once.
        render_mode: `rgb_array`, or None.
        settings: see `Classification`.

    Raises:
        EnvironmentMisused, DatasetUnavailable, pydantic.ValidationError: as `Classification` says.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # Gymnasium declares it so
        "render_modes": ["rgb_array"],
        "render_fps": FRAMES_PER_SECOND,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self, num_envs: int = 1, *, render_mode: RenderMode | None = None, **settings: Unpack[Settings]
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._classification = Classification(num_envs, **settings)
        self.single_observation_space = self._classification.observation_space
        self.single_action_space = self._classification.action_space
        self.observation_space: gymnasium.Space[Any] = batch_space(self.single_observation_space, num_envs)
        self.action_space: gymnasium.Space[Any] = batch_space(self.single_action_space, num_envs)
        self._latest: Shown | Judged | None = None

    @property
    def policy(self) -> Model | None:
        """Whom the adversary attacks; what is set here counts from the next observations on."""
        return self._classification.policy

    @policy.setter
    def policy(self, policy: Model | None) -> None:
        self._classification.policy = policy

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """The first images of a new pass, which a seed decides if there is one.

        So every evaluation of a policy begins with the first image of a pass, whatever was shown before it. Within a
        step episodes go on in the current pass.

        Returns:
            Observations float32 [n, c, h, w], and `info` with `label` and `index`, int64 [n].

        Raises:
            EnvironmentMisused: there is an adversary, but no policy for it to attack.
        """
        super().reset(seed=seed, options=options)
        self._latest = shown = self._classification.begin(self.np_random, anew=True)
        return shown.observations.copy(), self._info(shown)

    def step(
        self, actions: ArrayLike
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Answer each image with a class, integers [n].

        Returns:
            The next observations float32 [n, c, h, w], rewards float64 [n], terminations and truncations bool [n], and
            `info`; truncations are never true.

        Raises:
            EnvironmentMisused: an action is no class, or reset was never called.
        """
        self._latest = judged = self._classification.judge(actions)
        if judged.ended:
            shown = self._classification.begin(self.np_random, anew=False)
            info = self._info(shown) | self._final(judged)
        else:
            shown = self._classification.proceed()
            info = self._info(shown) | self._masked("correct", judged.correct)
        ended = np.full(self.num_envs, judged.ended)
        return shown.observations.copy(), judged.rewards, ended, np.zeros(self.num_envs, dtype=np.bool_), info

    def render(self) -> tuple[Frame, ...] | None:
        """Each environment's frame, uint8 [h, w, 3]: the image that was answered last, or the first one."""
        if self.render_mode is None or self._latest is None:
            return None
        return draw_frames(self._latest, self._classification.class_names)

    def _info(self, shown: Shown) -> dict[str, Any]:
        return self._masked("label", shown.labels) | self._masked("index", shown.indices)

    def _final(self, judged: Judged) -> dict[str, Any]:
        observations = np.empty(self.num_envs, dtype=object)
        for slot, observation in enumerate(judged.shown.observations):
            observations[slot] = observation
        info = self._info(judged.shown) | self._masked("correct", judged.correct)
        return self._masked("final_obs", observations) | self._masked("final_info", info)

    def _masked(self, name: str, values: object) -> dict[str, Any]:
        return {name: values, f"_{name}": np.ones(self.num_envs, dtype=np.bool_)}
