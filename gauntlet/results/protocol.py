"""How a number was measured. Two accuracies may be compared only where their protocols are equal."""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, computed_field

from gauntlet.spec.evaluations.attacks import AnyAttack, ApgdCe, ApgdT, AttackSpec, AutoAttack, FabT, Square
from gauntlet.spec.evaluations.corruptions import CorruptionsSpec
from gauntlet.spec.evaluations.smoothing import SmoothingSpec

# Raised whenever a change of our own code changes what one of these attacks finds of a model with finite gradients. Of
# others, which a finding names, they find what NaN and infinity are taken for, which has changed without, last when
# `fast` began to give Square's queries where a gradient is no number: a new version gives every number of every model
# another fingerprint, and would part those that it says nothing of.
_OURS = "gauntlet 2"
_AUTOATTACK = "pyautoattack 0.2.0"
_BOTH = f"{_OURS}, {_AUTOATTACK}"
# Raised whenever what NaN and infinity are taken for changes. It is in no protocol.
_NOT_FINITE = ", not finite 2"
_ID_DIGITS = 16

# Noted with every evaluation: another may take over its batches, and a later attempt go on with them, only where this
# is the same.
IMPLEMENTATIONS = f"{_BOTH}{_NOT_FINITE}"


class Protocol(BaseModel):
    """Everything but the weights that an accuracy follows from.

    `dataset_sha256` is over the whole test set in its order (`gauntlet.data.datasets.digest`); the images are its first
    `n`. `attack` is None for natural accuracy, which depends on no seed and no batch, and for that on corrupted images
    and that of the smoothed model, which depend on no batch.
    """

    # Written with its id, which is not read back but computed again.
    model_config = ConfigDict(frozen=True, extra="ignore")

    dataset: str
    dataset_sha256: str
    n: int
    attack: AttackSpec | None
    implementation: str
    batch_size: int | None
    seed: int | None
    precision: Literal["fp32"] = "fp32"
    # Not told where there are none, so that what was measured before there were any keeps its id.
    corruptions: CorruptionsSpec | None = Field(default=None, exclude_if=lambda asked: asked is None)
    smoothing: SmoothingSpec | None = Field(default=None, exclude_if=lambda asked: asked is None)

    @computed_field  # type: ignore[prop-decorator]  # pydantic's own way
    @property
    def id(self) -> str:
        """Equal for equal protocols, and for no others."""
        document = self.model_dump(mode="json", exclude={"id"})
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:_ID_DIGITS]

    def fingerprint(self, weights_sha256: str) -> str:
        """Names one number: this protocol on these weights."""
        return hashlib.sha256(f"{self.id} {weights_sha256}".encode()).hexdigest()[:_ID_DIGITS]


def implementation(attack: AnyAttack | None) -> str:
    """Whose code measures it, and which version of it."""
    match attack:
        case AutoAttack(version="few"):
            return _BOTH
        case ApgdCe(eot=draws) | ApgdT(eot=draws) | FabT(eot=draws) if draws > 1:
            return _BOTH
        case AutoAttack() | ApgdCe() | ApgdT() | FabT() | Square():
            return _AUTOATTACK
        case _:
            return _OURS


def with_equal_fingerprints(noted: str) -> str:
    """Equal for what was noted of two evaluations whose equal protocols have one id."""
    return noted.replace(_NOT_FINITE, "")
