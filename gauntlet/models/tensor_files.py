"""Reading safetensors files that anyone may have made: bounded, and held against a network before they are read.

Nothing here unpickles. What a file claims is checked before memory is spent on it: the header's length, then the number
of tensors, then names, types and shapes, and only then are the numbers read.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gauntlet.errors import CheckpointInvalid

# Where a checkpoint of ours says what it is.
HEADER = "gauntlet"
# ResNet-18 has 122 tensors, and a card with 10,000 classes is some 100 kB.
_MOST_HEADER_BYTES = 4 << 20
_MOST_TENSORS = 4_096
_LENGTH_BYTES = 8
_LONGEST_NAME = 80
_MOST_NAMED = 3

_FLOATS = ("F64", "F32", "F16", "BF16")
_INTEGERS = ("I64", "I32")
# The counter of batch normalisation; it says nothing about what the network computes.
_OPTIONAL = "num_batches_tracked"


class TensorSource(Protocol):
    """Named tensors, of which shape and type are known before they are read; an open safetensors file is one."""

    def get_slice(self, name: str) -> Any:
        """What has `get_shape` and `get_dtype`, such as [64, 3, 3, 3] and F32."""

    def get_tensor(self, name: str) -> Tensor:
        """The tensor, on the CPU."""


@contextmanager
def opened(path: Path) -> Iterator[safe_open]:
    """The file, open, its bounds checked; tensors come to the CPU.

    Raises:
        CheckpointInvalid: it is missing, no safetensors file, damaged, or beyond the bounds; here or inside the block.
    """
    try:
        _require_header(path)
        with safe_open(path, framework="pt") as file:
            count = len(names(file))
            if count > _MOST_TENSORS:
                raise CheckpointInvalid(f"{path.name} holds {count} tensors, more than {_MOST_TENSORS}.")
            yield file
    except OSError as error:
        # Its own text holds the whole path, which is the server's business.
        raise CheckpointInvalid(f"{path.name} cannot be read: {error.strerror or type(error).__name__}.") from error
    except SafetensorError as error:
        raise CheckpointInvalid(f"{path.name} is no checkpoint file, or is damaged: {error}.") from error


def names(file: safe_open) -> list[str]:
    """The names of the file's tensors."""
    return list(file.keys())


def quoted(name: str) -> str:
    """A tensor's name for a message, at most 80 characters of it."""
    return repr(name[:_LONGEST_NAME])


def read_fitting(
    file: TensorSource,
    wanted: Mapping[str, Tensor],
    known: Mapping[str, str],
    *,
    name: str,
    network: str,
    advice: str = "",
    otherwise: str = "",
) -> dict[str, Tensor]:
    """The file's tensors, which are just those of a network, under its names, in its types and finite.

    Args:
        wanted: the network's state; only names, shapes and types are looked at, so it may be on the meta device.
        known: the network's name of each of the file's tensors → the file's own.
        name: the file's, with which messages begin.
        network: what the state is of, for messages.
        advice: what to do where names are other ones.
        otherwise: what to do where only shapes or types are.

    Raises:
        CheckpointInvalid: tensors are missing, unknown, of another shape or type, or not finite.
    """
    missing = [tensor for tensor in wanted if tensor not in known and not tensor.endswith(_OPTIONAL)]
    unknown = sorted(theirs for ours, theirs in known.items() if ours not in wanted)
    faults = [
        *_counted(missing, "is missing", "are missing"),
        *_counted(unknown, "is unknown there", "are unknown there"),
        *_unlike(file, wanted, known),
    ]
    if faults:
        said = f"{name} does not fit a {network}: {'; '.join(faults)}."
        raise CheckpointInvalid(f"{said} {advice if missing or unknown else otherwise}".rstrip())
    read = {}
    for tensor, example in wanted.items():
        values = file.get_tensor(known[tensor]) if tensor in known else torch.zeros(example.shape)
        read[tensor] = values.to(example.dtype)
        # After the conversion, which may overflow.
        if not bool(read[tensor].isfinite().all()):
            raise CheckpointInvalid(f"{name} holds numbers that are not finite, in the tensor {quoted(known[tensor])}.")
    return read


def _counted(tensors: Sequence[str], one: str, several: str) -> list[str]:
    """A clause about the tensors, the first few by name; none if there are none."""
    if not tensors:
        return []
    named = ", ".join(map(quoted, tensors[:_MOST_NAMED]))
    more = f" and {len(tensors) - _MOST_NAMED} more" if len(tensors) > _MOST_NAMED else ""
    return [f"{named}{more} {one if len(tensors) == 1 else several}"]


def _unlike(file: TensorSource, wanted: Mapping[str, Tensor], known: Mapping[str, str]) -> list[str]:
    """What is wrong with the tensors that are there, the first few and how many more."""
    faults = [
        f"{quoted(known[tensor])} {fault}"
        for tensor, example in wanted.items()
        if tensor in known and (fault := _fault(file, known[tensor], example)) is not None
    ]
    left_out = len(faults) - _MOST_NAMED
    return [*faults[:_MOST_NAMED], *([f"{left_out} more do not fit either"] if left_out > 0 else [])]


def _fault(file: TensorSource, name: str, example: Tensor) -> str | None:
    described = file.get_slice(name)
    shape, kind = list(described.get_shape()), described.get_dtype()
    if shape != list(example.shape):
        return f"has the shape {shape} instead of {list(example.shape)}"
    if kind not in (_FLOATS if example.is_floating_point() else _INTEGERS):
        return f"is of the type {kind}"
    return None


def begins_with_header(start: bytes) -> bool:
    """Whether a file that begins so may be a safetensors file, which begins with its header's length, 8 bytes."""
    return len(start) >= _LENGTH_BYTES and int.from_bytes(start[:_LENGTH_BYTES], "little") <= _MOST_HEADER_BYTES


def _require_header(path: Path) -> None:
    """Say what else a file is, where that can be told."""
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES)
    if begins_with_header(start):
        return
    if len(start) < _LENGTH_BYTES:
        raise CheckpointInvalid(f"{path.name} is too short to be a safetensors file.")
    convert = "Only safetensors files are read; safetensors.torch.save_file(model.state_dict(), file) writes one."
    command = "Only safetensors files are read; `gauntlet convert` makes one of it, on your own machine."
    if start.startswith(b"PK"):
        raise CheckpointInvalid(f"{path.name} is a zip archive, such as torch.save writes. {command}")
    if start[0] == 0x80:  # noqa: PLR2004  # pickle's PROTO opcode
        raise CheckpointInvalid(f"{path.name} is a pickle. {command}")
    if start.lstrip().startswith(b"<"):
        raise CheckpointInvalid(f"{path.name} is a web page or XML, as a failed download leaves. {convert}")
    raise CheckpointInvalid(f"{path.name} is no safetensors file: it does not begin with a header's length.")
