"""What is wrong with a request: a field, and a sentence that says what to do."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gauntlet.errors import (
    AttackUnsupported,
    CheckpointInvalid,
    CompilerMissing,
    DatasetUnavailable,
    GauntletError,
    ModelUnfit,
    PicturesTooMany,
    PrecisionUnsupported,
)

FaultKind = Literal[
    "dataset_unavailable",
    "checkpoint_invalid",
    "attack_unsupported",
    "precision_unsupported",
    "compiler_missing",
    "model_unfit",
    "pictures_too_many",
]

_ERRORS: dict[FaultKind, type[GauntletError]] = {
    "dataset_unavailable": DatasetUnavailable,
    "checkpoint_invalid": CheckpointInvalid,
    "attack_unsupported": AttackUnsupported,
    "precision_unsupported": PrecisionUnsupported,
    "compiler_missing": CompilerMissing,
    "model_unfit": ModelUnfit,
    "pictures_too_many": PicturesTooMany,
}


class Fault(BaseModel):
    """One fault: a JSON pointer into the request, and what is wrong there.

    `kind` is the reason that a job gives which fails of it.
    """

    model_config = ConfigDict(frozen=True)

    kind: FaultKind
    pointer: str
    message: str


def refuse(faults: Sequence[Fault]) -> None:
    """Raise one error that tells all the faults, if there are any.

    Raises:
        GauntletError: of the first fault's kind.
    """
    if faults:
        raise _ERRORS[faults[0].kind](" ".join(dict.fromkeys(fault.message for fault in faults)))
