"""Weights that another program wrote, read for a network of the catalogue."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from gauntlet.errors import CheckpointInvalid
from gauntlet.models.foreign_names import Translation, naming, translate
from gauntlet.models.network_states import described, empty_state
from gauntlet.models.tensor_files import HEADER, TensorSource, names, opened, quoted, read_fitting
from gauntlet.spec.runs.architectures import ArchitectureSpec
from gauntlet.spec.runs.normalisation import Normalisation

# Numbers are written down with four digits, or with three.
_SAME_NUMBER = 6e-4


@dataclass(frozen=True)
class ForeignWeights:
    """The tensors of such a network under our names, what the file's names stood for, and its normalisation if any."""

    tensors: dict[str, Tensor]
    names: Translation
    normalisation: Normalisation | None


def read_foreign_weights(
    path: Path,
    architecture: ArchitectureSpec,
    image_shape: tuple[int, int, int],
    classes: int,
    normalisation: Normalisation | None = None,
) -> ForeignWeights:
    """What a safetensors file that another program wrote is in such a network; its tensors on the CPU.

    They may have the names of `gauntlet.models.foreign_names`, and come with ours. Floating-point tensors come as
    float32, and `num_batches_tracked` may be absent: a network in eval mode, and one that trains as ours do, never
    reads it. Where the file holds what the network's input is normalised with, in tensors or as a checkpoint of ours
    in its header, `normalisation` must say it too.

    Raises:
        CheckpointInvalid: no safetensors file, damaged, or tensors unlike the network's, not finite, or of another
            normalisation.
    """
    with opened(path) as file:
        found = fit(file, names(file), architecture, image_shape, classes, name=path.name)
        if (stored := found.normalisation or told_in_header(file)) is not None:
            _require_normalisation(stored, normalisation, path.name)
        return found


def told_in_header(file: safe_open) -> Normalisation | None:
    """What a checkpoint of ours, whose tensors are the network's alone, says on its card of the input.

    None where there is no such card, or it is not to be made out: nothing else of it is asked for here.
    """
    try:
        said = json.loads((file.metadata() or {})[HEADER])["normalisation"]
        return Normalisation.model_validate_json(json.dumps(said))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def fit(
    source: TensorSource,
    theirs: Sequence[str],
    architecture: ArchitectureSpec,
    image_shape: tuple[int, int, int],
    classes: int,
    *,
    name: str,
    otherwise: str = "",
) -> ForeignWeights:
    """What the tensors that another program named so are in such a network.

    Args:
        otherwise: what to do where only their shapes or types are other ones, for messages.

    Raises:
        CheckpointInvalid: they are unlike the network's or not finite.
    """
    wanted = empty_state(architecture, image_shape, classes)
    found = translate(theirs, architecture, wanted)
    tensors = read_fitting(
        source,
        wanted,
        found.known,
        name=name,
        network=described(architecture, image_shape, classes),
        advice=naming(architecture, theirs),
        otherwise=otherwise,
    )
    return ForeignWeights(tensors, found, _normalisation(source, found, image_shape[0]))


def _normalisation(source: TensorSource, found: Translation, channels: int) -> Normalisation | None:
    if found.normalisation is None:
        return None
    told = " and ".join(map(quoted, found.normalisation))
    fault = CheckpointInvalid(f"The tensors {told} are no normalisation of {channels} channels.")
    if any(math.prod(source.get_slice(name).get_shape()) not in {1, channels} for name in found.normalisation):
        raise fault
    mean, std = (source.get_tensor(name).double().flatten().tolist() for name in found.normalisation)
    if max(mean + std, default=0) > 1:
        # Of pixels up to 255, as `require_unit_scale` has it: (255 x − m) / s = (x − m / 255) / (s / 255).
        mean, std = ([value / 255 for value in values] for values in (mean, std))
    # One number may stand for all channels.
    mean, std = (values * channels if len(values) == 1 else values for values in (mean, std))
    try:
        return Normalisation(mean=tuple(mean), std=tuple(std))
    except ValueError as error:
        raise fault from error


def _require_normalisation(stored: Normalisation, said: Normalisation | None, name: str) -> None:
    found, told = (() if each is None else each.mean + each.std for each in (stored, said))
    if len(found) == len(told) and all(
        math.isclose(one, other, abs_tol=_SAME_NUMBER) for one, other in zip(found, told, strict=True)
    ):
        return
    mean, std = ([round(value, 4) for value in values] for values in (stored.mean, stored.std))
    raise CheckpointInvalid(
        f"{name} holds a network that normalises its input with mean {mean} and std {std}, and the card's "
        f"normalisation {'is missing' if said is None else 'is another'}: say the same there."
    )
