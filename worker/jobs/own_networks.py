"""A look at a network of a team's own before it is trained."""

from gauntlet.data.datasets import Dataset
from gauntlet.errors import ModelUnfit
from gauntlet.evaluation.preflight import preflight
from gauntlet.models.architectures import build_model, initialise, normalised
from gauntlet.models.own_networks import package_of
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.architectures import Custom
from store.subjects.runs import Note

_LOOKED_AT_WITH = 16


def look_at(spec: RunSpec, data: Dataset) -> list[Note]:
    """Try the network untrained on a few training images, on the CPU; of networks of ours there is nothing to tell.

    Returns what is to be noted: which package it comes from, and what looks wrong with it.

    Raises:
        ModelUnfit: it is not there, cannot be built, or answers with something else than finite logits.
    """
    if not isinstance(spec.architecture, Custom):
        return []
    classes = len(data.classes)
    model = build_model(spec.architecture, data.image_shape, classes)
    initialise(model, spec.seed)
    package = package_of(spec.architecture)
    told = f"The network {spec.architecture.name} comes from the package {package}."
    notes = [Note("network", told, data={"package": package})]
    images, _ = next(data.train.take(_LOOKED_AT_WITH).batches(_LOOKED_AT_WITH))
    for finding in preflight(normalised(model, spec.normalisation), images, None, classes):
        if finding.severity == "error":
            raise ModelUnfit(f"{told} {finding.message}")
        notes.append(Note("network", finding.message, alarm=True, data={"finding": finding.kind}))
    return notes
