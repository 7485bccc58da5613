"""The decision problem itself, for any number of slots at once: which images are shown, attacked how, and paid how.

The single and the vector environment are Gymnasium's two faces of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import gymnasium
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import TypeAdapter

from gauntlet.data.datasets import to_unit
from gauntlet.envs.adversary import AdversarySpec, attack_policy
from gauntlet.envs.images import DatasetChoice, choose_images
from gauntlet.envs.passes import ShuffledPasses
from gauntlet.envs.rewards import RewardChoice, reward_table
from gauntlet.errors import EnvironmentMisused
from gauntlet.models.devices import found_device
from gauntlet.models.precision import Model
from gauntlet.spec.evaluations.attacks import FgsmAttack, PgdAttack
from gauntlet.spec.kinds import SPLITS, Split
from gauntlet.spec.runs.objectives import Reward

_ADVERSARY: TypeAdapter[FgsmAttack | PgdAttack | None] = TypeAdapter(AdversarySpec | None)


class Settings(TypedDict, total=False):
    """What both environments are made with, each by keyword; `Classification` says what they mean."""

    dataset: DatasetChoice
    split: Split
    data_root: Path | str
    reward: RewardChoice
    adversary: FgsmAttack | PgdAttack | Mapping[str, Any] | None
    policy: Model | None
    images_per_episode: int
    device: torch.device | str


@dataclass(frozen=True)
class Shown:
    """What each slot sees: `observations` float32 [n, c, h, w] in [0, 1], `labels` and `indices` int64 [n].

    An index is the image's position in its set.
    """

    observations: NDArray[np.float32]
    labels: NDArray[np.int64]
    indices: NDArray[np.int64]


@dataclass(frozen=True)
class Judged:
    """What became of the actions taken on `shown`: `rewards` float64 [n], `correct` bool [n].

    All slots begin and end their episodes together; `ended` says whether this was the last image of them.
    """

    shown: Shown
    actions: NDArray[np.int64]
    rewards: NDArray[np.float64]
    correct: NDArray[np.bool_]
    ended: bool


class Classification:
    """`slots` images at a time, from one stream of shuffled passes through one split.

    Args:
        slots: how many images are shown at once.
        dataset: the name of a data set, its spec, or images that are read already; mapped ones stay on the disk.
        split: which part of the data set is shown.
        data_root: the folder below which data sets lie; the bundled digits need none.
        reward: a `Reward` or its fields, or a table [classes, classes] of the reward for each label and action.
        adversary: an FGSM or PGD attack, or its fields; None leaves images as they are.
        policy: whom the adversary attacks: from float32 images [n, c, h, w] on `device` to logits [n, classes].
        images_per_episode: after how many images an episode terminates.
        device: where the images are kept or come to, and the policy is attacked.

    Raises:
        EnvironmentMisused: the settings contradict each other or the images.
        DatasetUnavailable: the images cannot be read.
        DeviceUnavailable: torch finds no such device here.
        pydantic.ValidationError: a spec or its fields are wrong.
    """

    def __init__(
        self,
        slots: int,
        *,
        dataset: DatasetChoice = "digits",
        split: Split = "train",
        data_root: Path | str = "var/data",
        reward: RewardChoice = Reward(),  # noqa: B008  # a frozen value
        adversary: FgsmAttack | PgdAttack | Mapping[str, Any] | None = None,
        policy: Model | None = None,
        images_per_episode: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        if not all(isinstance(count, int) and count >= 1 for count in (slots, images_per_episode)):
            raise EnvironmentMisused("num_envs and images_per_episode must be whole numbers of at least 1.")
        if split not in SPLITS:
            raise EnvironmentMisused(f"There is no split {split!r}: it is {' or '.join(SPLITS)}.")
        images = choose_images(dataset, split, Path(data_root))
        self.policy = policy
        self.class_names = images.classes
        self._slots = slots
        self._device = found_device(device)
        self._images = images.labelled.to(self._device)
        self._labels: NDArray[np.int64] = images.labelled.labels.cpu().numpy()
        self._rewards = reward_table(reward, len(images.classes))
        self._adversary = _ADVERSARY.validate_python(adversary)
        self._images_per_episode = images_per_episode
        self._generator = torch.Generator(self._device)
        self._passes: ShuffledPasses | None = None
        self._shown: Shown | None = None
        self._judged = 0

    @property
    def observation_space(self) -> gymnasium.Space[NDArray[np.float32]]:
        """One image: float32 in [0, 1], [c, h, w]."""
        space: gymnasium.Space[Any] = gymnasium.spaces.Box(0, 1, self._images.image_shape, np.float32)
        return space

    @property
    def action_space(self) -> gymnasium.Space[np.int64]:
        """The classes."""
        return gymnasium.spaces.Discrete(len(self.class_names))

    def begin(self, random: np.random.Generator, *, anew: bool) -> Shown:
        """Begin an episode in every slot: the next images of the stream, or where `anew`, the first of a new one.

        An image that is waiting for an answer then comes again at the end of its pass.

        Raises:
            EnvironmentMisused: there is an adversary, but no policy for it to attack.
        """
        if anew or self._passes is None:
            self._passes = ShuffledPasses(len(self._labels), random)
            self._generator.manual_seed(int(random.integers(2**63)))
        elif self._shown is not None:
            self._passes.put_back(self._shown.indices)
        self._judged = 0
        return self._show(self._passes)

    def judge(self, actions: ArrayLike) -> Judged:
        """Pay for one action per slot, [n] integers; the images shown are answered then.

        Raises:
            EnvironmentMisused: no image is waiting for an answer, or an action is not a class.
        """
        if self._shown is None:
            raise EnvironmentMisused("No image is waiting for an action: call reset first.")
        chosen = self._valid(actions)
        shown, self._shown = self._shown, None
        self._judged += 1
        return Judged(
            shown=shown,
            actions=chosen,
            rewards=self._rewards[shown.labels, chosen],
            correct=shown.labels == chosen,
            ended=self._judged == self._images_per_episode,
        )

    def proceed(self) -> Shown:
        """The next image in every slot, of the same episode."""
        assert self._passes is not None, "An episode has begun."
        return self._show(self._passes)

    def _show(self, passes: ShuffledPasses) -> Shown:
        if self._adversary is not None and self.policy is None:
            raise EnvironmentMisused(
                "The environment has an adversary but no policy to attack: give it one as policy=…, or set its "
                "attribute policy before reset."
            )
        indices = passes.take(self._slots)
        positions = torch.from_numpy(indices).to(self._device)
        pixels = self._images.drawn(positions)
        if self._adversary is not None and self.policy is not None:
            labels = self._images.labels.index_select(0, positions)
            images = attack_policy(self._adversary, self.policy, to_unit(pixels), labels, self._generator)
            images = images.contiguous(memory_format=torch.contiguous_format)
        else:
            # `to_unit`'s values in the order of NumPy's arrays: 28 µs for 64 CIFAR images, not 154 there and back.
            images = pixels / 255
        self._shown = Shown(images.cpu().numpy(), self._labels[indices], indices)
        return self._shown

    def _valid(self, actions: ArrayLike) -> NDArray[np.int64]:
        chosen = np.asarray(actions)
        # A negative index would count from the end, and a fraction would be cut off.
        integers = np.issubdtype(chosen.dtype, np.integer)
        if chosen.shape != (self._slots,) or not integers or chosen.min() < 0 or chosen.max() >= len(self.class_names):
            raise EnvironmentMisused(
                f"Actions must be {self._slots} integers from 0 to {len(self.class_names) - 1}, one for each image; "
                f"got {chosen.dtype} of shape {list(chosen.shape)}: {chosen.tolist()}."
            )
        return chosen.astype(np.int64)
