"""How an experiment is asked for: by a spec, or as another one with changes; and how what stands beside it is changed.

What stands beside a spec is no part of it, which never changes: labels, notes, a priority, what is kept. No torch.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, RootModel

from gauntlet.spec.asked.notes import Labels, Notes
from gauntlet.spec.asked.priorities import GivenPriority
from gauntlet.spec.asked.retention import Keep
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Spec
from gauntlet.spec.presets import is_of_one_type
from gauntlet.spec.reading.texts import ExperimentId, Label

_BESIDE = ("labels", "notes", "priority", "keep")


class ExperimentRequest(ExperimentSpec):
    """A whole spec, or a preset with any field overridden; labels, notes, a priority and what is kept beside it."""

    labels: Labels = ()
    notes: Notes = ""
    priority: GivenPriority = "normal"
    keep: Keep | None = Field(default=None, description="Which checkpoints stay once it has ended; null: all.")

    def spec(self) -> ExperimentSpec:
        """What is asked for, without what stands beside it."""
        values = {name: getattr(self, name) for name in ExperimentSpec.model_fields}
        return ExperimentSpec.model_construct(self.model_fields_set - set(_BESIDE), **values)


class LikeRequest(Spec):
    """An experiment as another one was, with changes."""

    like: ExperimentId = Field(description="The experiment whose spec is taken.")
    changes: dict[str, Any] = Field(
        default={},
        description="A JSON merge patch (RFC 7386) onto that spec: null puts a field back to its default, lists are "
        "replaced whole, and an object that names another `kind` replaces the one before.",
    )
    labels: Labels = ()
    notes: Notes = ""
    priority: GivenPriority = "normal"
    keep: Keep | None = Field(default=None, description="Which checkpoints stay once it has ended; null: all.")

    def fields(self, spec: ExperimentSpec) -> dict[str, Any]:
        """The fields of the spec that is asked for, made of the other experiment's."""
        return merged(spec.model_dump(mode="json"), self.changes)


class ExperimentDraft(RootModel[dict[str, Any]]):
    """What `POST /v1/experiments` takes, finished or not."""


class ExperimentPatch(Spec):
    """A JSON merge patch of what may change of an experiment; what it does not name stays."""

    name: Label | None = Field(default=None, description="null: as its spec says.")
    labels: Labels | None = None
    notes: Notes | None = None
    keep: Keep | None = Field(default=None, description="null: all checkpoints stay.")


class CheckpointPatch(Spec):
    """The same of a checkpoint."""

    labels: Labels | None = None
    notes: Notes | None = None


def merged(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON merge patch (RFC 7386) applied, but that an object which names another type replaces the one before.

    Its fields belong to another type, and those that stayed would be faults.
    """
    result = {name: value for name, value in document.items() if name not in patch or patch[name] is not None}
    for name, value in patch.items():
        below = result.get(name)
        if isinstance(value, Mapping):
            fits = isinstance(below, Mapping) and is_of_one_type(below, value)
            result[name] = merged(below if fits and isinstance(below, Mapping) else {}, value)
        elif value is not None:
            result[name] = value
    return result
