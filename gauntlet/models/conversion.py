"""Weights that `torch.save` wrote, read for a network of the catalogue on the machine of whoever has them.

Reading is torch's with `weights_only`: it knows tensors, numbers, texts and what holds them, and calls nothing else.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from gauntlet.errors import CheckpointInvalid
from gauntlet.models.foreign_names import likeness, translate
from gauntlet.models.foreign_weights import ForeignWeights, fit, told_in_header
from gauntlet.models.network_states import empty_state
from gauntlet.models.tensor_files import begins_with_header, names, opened, quoted
from gauntlet.spec.runs.architectures import (
    ArchitectureSpec,
    Cnn,
    Custom,
    PreActResNet,
    ResNet,
    Torchvision,
    Vit,
    WideResNet28,
    WideResNet34,
)
from gauntlet.spec.runs.normalisation import Normalisation

# Those whose kind says all of them, and which are told apart by the names of their tensors.
RECOGNISED: tuple[ArchitectureSpec, ...] = (Cnn(), ResNet(), PreActResNet(), WideResNet28(), WideResNet34())
_DEEPEST = 3
_MOST_CHANNELS, _MOST_CLASSES = 16, 10_000
_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
}
# A file's first bytes, where it is a pickle or a zip archive that holds one.
_SAVED_BY_TORCH = (b"PK", b"\x80")


@dataclass(frozen=True)
class Conversion:
    """A network that was found in a file, its tensors under our names.

    `part` is the place in the file that its tensors were at, such as "state_dict", or "" for the file itself; `beside`
    is what else there was.
    """

    architecture: ArchitectureSpec
    image_shape: tuple[int, int, int]
    classes: int
    weights: ForeignWeights
    part: str
    beside: tuple[str, ...]

    def encoded(self) -> bytes:
        """The safetensors file, which holds the normalisation too, if there is one."""
        tensors = dict(self.weights.tensors)
        if (said := self.weights.normalisation) is not None:
            tensors |= _as_tensors(said)
        return save(tensors)


def convert(path: Path, architecture: ArchitectureSpec | None = None, part: str | None = None) -> Conversion:
    """The network in a file of `torch.save`, or in a safetensors file with the names of another program.

    Args:
        architecture: which one it is; if it is None, one of `RECOGNISED` by its tensors' names.
        part: where in the file its tensors are, such as "state_dict"; if it is None, wherever they are.

    Raises:
        CheckpointInvalid: the file is none of these, or holds what could run; no such part; several networks that fit;
            or tensors unlike the network's.
    """
    if isinstance(architecture, Custom):
        raise CheckpointInvalid(
            "A network of your own has the names of its own code, which is not run here: write its weights with "
            "safetensors.torch.save_file(model.state_dict(), file)."
        )
    states = dict(_states(_read(path)))
    if not states:
        raise CheckpointInvalid(f"{path.name} holds no tensors that have names.")
    if part is not None:
        if part not in states:
            raise CheckpointInvalid(f"{path.name} has no tensors at {quoted(part)}; it has them {_listed(states)}.")
        states = {part: states[part]}
    found = {place: kind for place, state in states.items() if (kind := architecture or _recognised(state.tensors))}
    fitting = {
        place: kind for place, kind in found.items() if architecture is None or _names_fit(states[place].tensors, kind)
    }
    if len(fitting) > 1:
        raise CheckpointInvalid(f"{path.name} holds {len(fitting)} networks, {_listed(fitting)}: say which part it is.")
    if not found:
        raise _unrecognised(path.name, states)
    # Where the names do not fit, the largest part's own misfits are told.
    place = next(iter(fitting), max(found, key=lambda name: len(states[name].tensors)))
    state, kind = states[place], found[place]
    image_shape, classes = _measured(state.tensors, kind)
    source = _Loaded(state.tensors)
    guessed = (
        f"By its tensors' names it is taken for a {kind.kind}: say which architecture it is if it is another, such as "
        "torchvision/resnet18."
    )
    otherwise = guessed if architecture is None else ""
    weights = fit(source, list(state.tensors), kind, image_shape, classes, name=path.name, otherwise=otherwise)
    return Conversion(kind, image_shape, classes, weights, place, state.beside)


def _as_tensors(said: Normalisation) -> dict[str, Tensor]:
    """Under names that a reader takes for a normalisation."""
    return {
        f"normalisation.{name}": torch.tensor(values, dtype=torch.float64)
        for name, values in (("mean", said.mean), ("std", said.std))
    }


@dataclass(frozen=True)
class _State:
    """Named tensors at one place of a file, and the names of what lies beside them."""

    tensors: dict[str, Tensor]
    beside: tuple[str, ...]


@dataclass(frozen=True)
class _Described:
    tensor: Tensor

    def get_shape(self) -> list[int]:
        return list(self.tensor.shape)

    def get_dtype(self) -> str:
        plain = self.tensor.layout is torch.strided and not self.tensor.is_quantized
        return _TYPES.get(self.tensor.dtype, str(self.tensor.dtype)) if plain else "sparse or quantised numbers"


@dataclass(frozen=True)
class _Loaded:
    """Tensors in memory as a `TensorSource`; one that repeats a few numbers is written out once it is known to fit."""

    tensors: Mapping[str, Tensor]

    def get_slice(self, name: str) -> _Described:
        return _Described(self.tensors[name])

    def get_tensor(self, name: str) -> Tensor:
        if self.tensors[name].is_meta:
            raise CheckpointInvalid(
                f"The tensor {quoted(name)} has a shape and no numbers: the model was saved while it was on torch's "
                "device meta, before its weights were loaded."
            )
        return self.tensors[name].detach().to("cpu", copy=True).contiguous()


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise CheckpointInvalid(f"{path.name} cannot be read: {error.strerror or type(error).__name__}.") from error
    if not start.startswith(_SAVED_BY_TORCH):
        if not begins_with_header(start):
            raise CheckpointInvalid(
                f"{path.name} is neither what torch.save writes nor a safetensors file. It may be compressed, cut off, "
                "or the web page that a failed download left in the place of the weights."
            )
        with opened(path) as file:
            said = told_in_header(file)
            return {name: file.get_tensor(name) for name in names(file)} | ({} if said is None else _as_tensors(said))
    try:
        with warnings.catch_warnings():
            # Of a program, and of kinds of numbers: both are refused below, in our words.
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler may raise anything at what a stranger wrote
        raise CheckpointInvalid(_refused(path.name, str(error))) from error


def _refused(name: str, why: str) -> str:
    advice = "Whoever trusts it can load it elsewhere and torch.save(model.state_dict(), file), which is read."
    code = re.search(r"GLOBAL ([\w.]+)|Trying to (?:call|instantiate).*?([\w.]+)", why)
    if code is not None:
        called = code[1] or code[2]
        return f"{name} holds more than tensors: it names {quoted(called)}, and reading that could run code. {advice}"
    if "TorchScript" in why:
        return f"{name} is a program (TorchScript), and none is run. {advice}"
    return f"{name} is no file of torch.save's that holds tensors alone, or it is damaged. {advice}"


def _states(
    content: Any, place: str = "", beside: tuple[str, ...] = (), depth: int = 0
) -> Iterator[tuple[str, _State]]:
    """Every place in a file that has named tensors."""
    if not isinstance(content, Mapping) or depth > _DEEPEST:
        return
    named = {key: value for key, value in content.items() if isinstance(key, str)}
    tensors = {key: value for key, value in named.items() if isinstance(value, Tensor)}
    others = tuple(key for key in named if key not in tensors)
    if any(tensor.ndim for tensor in tensors.values()):
        yield place, _State(tensors, beside + others)
    for key in others:
        around = tuple(other for other in named if other != key)
        yield from _states(named[key], f"{place}.{key}" if place else key, beside + around, depth + 1)


def _recognised(tensors: Mapping[str, Tensor]) -> ArchitectureSpec | None:
    return next((kind for kind in RECOGNISED if _names_fit(tensors, kind)), None)


def _names_fit(tensors: Mapping[str, Tensor], architecture: ArchitectureSpec) -> bool:
    """Whether such a network has tensors of these names, and no others."""
    wanted = empty_state(architecture, _image_shape(architecture, 3, {}), 10).keys()
    try:
        known = translate(tensors, architecture, wanted).known.keys()
    except CheckpointInvalid:
        return False
    return known <= wanted and all(name.endswith("num_batches_tracked") for name in wanted - known)


def _measured(tensors: Mapping[str, Tensor], architecture: ArchitectureSpec) -> tuple[tuple[int, int, int], int]:
    """Which images such a network takes and how many classes it tells apart, by its tensors' shapes."""
    draft = empty_state(architecture, _image_shape(architecture, 3, {}), 10)
    known = translate(tensors, architecture, draft).known
    shapes = {ours: list(tensors[theirs].shape) for ours, theirs in known.items()}
    weights = [name for name, tensor in draft.items() if tensor.ndim > 1]
    stem = next(name for name in weights if draft[name].ndim == 4)  # noqa: PLR2004  # a convolution's
    head = shapes.get(weights[-1], [10])
    channels = shapes.get(stem, [0, 3])[1:2] or [3]
    classes = min(max(head[0] if head else 10, 2), _MOST_CLASSES)
    return _image_shape(architecture, min(max(channels[0], 1), _MOST_CHANNELS), shapes), classes


def _image_shape(
    architecture: ArchitectureSpec, channels: int, shapes: Mapping[str, Sequence[int]]
) -> tuple[int, int, int]:
    """Images that a network with tensors of these shapes takes; of any size that it takes where none is told."""
    side = 32
    match architecture:
        case Cnn() if len(shape := shapes.get("1.weight", ())) > 1:
            # 64 channels of a square, which two unpadded convolutions and poolings have left.
            side = 4 * isqrt(shape[1] // 64) + 6
        case Vit():
            side = architecture.patch * _squares(shapes.get("patches.places", ()), 64)
        case Torchvision() if architecture.name.startswith("vit_"):
            patch = 14 if architecture.name.endswith("14") else int(architecture.name[-2:])
            places = shapes.get("network.encoder.pos_embedding", ())
            # One place is the class's.
            side = patch * _squares([0, places[1] - 1] if len(places) > 1 else (), (224 // patch) ** 2)
        case Torchvision():
            side = 299 if architecture.name == "inception_v3" else 224
        case _:
            pass
    return channels, side, side


def _squares(shape: Sequence[int], otherwise: int) -> int:
    """Patches along a side, where the second number counts all of them."""
    return max(1, isqrt(shape[1] if len(shape) > 1 else otherwise))


def _listed(places: Mapping[str, Any]) -> str:
    return "at " + " and ".join(quoted(place) if place else "the top" for place in places)


def _unrecognised(name: str, states: Mapping[str, _State]) -> CheckpointInvalid:
    tensors = max((list(state.tensors) for state in states.values()), key=len)
    alike = next((told for kind in RECOGNISED if (told := likeness(kind.kind, tensors))), "")
    kinds = ", ".join(kind.kind for kind in RECOGNISED)
    named = ", ".join(map(quoted, tensors[:3]))
    return CheckpointInvalid(
        f"The tensors in {name} ({named}, {len(tensors)} in all) are those of none of {kinds}. {alike}"
        "Say which architecture it is: then what does not fit is told."
    )
