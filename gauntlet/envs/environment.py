"""The single environment: one image, one prediction, one reward."""

from typing import Any, Unpack

import gymnasium
import numpy as np
from numpy.typing import NDArray

from gauntlet.envs.classification import Classification, Judged, Settings, Shown
from gauntlet.envs.frames import FRAMES_PER_SECOND, Frame, RenderMode, draw_frames
from gauntlet.models.precision import Model


class ImageClassificationEnv(gymnasium.Env[NDArray[np.float32], np.int64]):
    """An image is the state, a class the action; +1 is paid for the right one and −1 for a wrong one.

    The decision problem of arXiv 2012.04353, §3. An episode is one image, or `images_per_episode`. What comes with an
    observation in `info`: `label`, the image's class, and `index`, its position in the set, both of the observation
    that is returned; and after a step `correct`, whether the action was the label of the image before. The last
    observation of an episode is the image that was just answered, so no image of a pass is shown in vain.

    Args:
        render_mode: `rgb_array`, or None.
        settings: see `Classification`.

    Raises:
        EnvironmentMisused, DatasetUnavailable, pydantic.ValidationError: as `Classification` says.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012  # Gymnasium declares it so
        "render_modes": ["rgb_array"],
        "render_fps": FRAMES_PER_SECOND,
    }

    def __init__(self, *, render_mode: RenderMode | None = None, **settings: Unpack[Settings]) -> None:
        self.render_mode = render_mode
        self._classification = Classification(1, **settings)
        self.observation_space = self._classification.observation_space
        self.action_space = self._classification.action_space
        self._latest: Shown | Judged | None = None

    @property
    def policy(self) -> Model | None:
        """Whom the adversary attacks; what is set here counts from the next observation on."""
        return self._classification.policy

    @policy.setter
    def policy(self, policy: Model | None) -> None:
        self._classification.policy = policy

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """The next image of the current pass; with a seed, the first of a pass that the seed decides.

        An image that was shown and not answered comes again at the end of the pass, so none is missing from it.

        Raises:
            EnvironmentMisused: there is an adversary, but no policy for it to attack.
        """
        super().reset(seed=seed, options=options)
        self._latest = shown = self._classification.begin(self.np_random, anew=seed is not None)
        return shown.observations[0].copy(), _info(shown)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Answer the image with a class; the reward, and the next image unless the episode ends.

        Raises:
            EnvironmentMisused: the action is no class, or no image is waiting for one.
        """
        self._latest = judged = self._classification.judge(np.expand_dims(action, 0))
        shown = judged.shown if judged.ended else self._classification.proceed()
        info = _info(shown) | {"correct": bool(judged.correct[0])}
        return shown.observations[0].copy(), float(judged.rewards[0]), judged.ended, False, info

    def render(self) -> Frame | None:
        """The image that was answered last in this episode with its verdict, or the first one; uint8 [h, w, 3]."""
        if self.render_mode is None or self._latest is None:
            return None
        return draw_frames(self._latest, self._classification.class_names)[0]


def _info(shown: Shown) -> dict[str, Any]:
    return {"label": int(shown.labels[0]), "index": int(shown.indices[0])}
