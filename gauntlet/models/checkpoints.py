"""Checkpoint files: safetensors with one JSON header entry, so that a file alone says what it is.

Two kinds: weights, which are kept, served and classified with; and a training state, which also holds the optimiser
and serves resuming only. Nothing here unpickles anything.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from gauntlet.errors import CheckpointInvalid, StateOutdated
from gauntlet.models.architectures import build_model, normalised
from gauntlet.models.devices import found_device
from gauntlet.models.network_states import described, empty_state
from gauntlet.models.own_networks import package_of
from gauntlet.models.tensor_files import HEADER, names, opened, read_fitting
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.runs.architectures import ArchitectureSpec
from gauntlet.spec.runs.normalisation import Normalisation, unlike_normalisation
from gauntlet.spec.runs.regularizers import Averaging

# One entry only: safetensors writes several in no fixed order, and equal states must be equal bytes.
_FUSED = "fused"


@dataclass(frozen=True)
class GuardState:
    """What a run's guard remembers: the best accuracy that it has probed, and whether it has acted on an alarm."""

    best: float = 0.0
    acted: bool = False


@dataclass(frozen=True)
class Versions:
    """A network's tensors on the CPU: its weights', or their average's, or both; what is not there is empty."""

    weights: dict[str, Tensor] = field(default_factory=dict)
    average: dict[str, Tensor] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.weights or self.average)

    def __iter__(self) -> Iterator[tuple[bool, dict[str, Tensor]]]:
        """Each that is there, and whether it is the average."""
        yield from ((averaged, found) for averaged, found in ((False, self.weights), (True, self.average)) if found)


@dataclass(frozen=True)
class TrainingState:
    """Everything that training after `epoch` and `batch` more batches depends on; tensors on the CPU.

    `optimizer` is keyed `<parameter index>.<entry>`. `totals` is the tally of the epoch under way, float64 [6].
    `warnings` are the kinds in force. `environment` names what bit-identity rests on. `critic` is what is trained
    beside the model and never leaves training; most objectives have none. `good` is what was kept after `epoch` where a
    guard may fall back on it and `batch` is not 0. `average` is that of the weights, where a run has one.
    """

    epoch: int
    batch: int
    model: dict[str, Tensor]
    optimizer: dict[str, Tensor]
    totals: Tensor
    warnings: tuple[str, ...]
    environment: str
    critic: dict[str, Tensor] = field(default_factory=dict)
    guard: GuardState = GuardState()
    good: Versions = Versions()
    average: dict[str, Tensor] = field(default_factory=dict)

    def kept(self, averaging: Averaging | None) -> Versions:
        """What the checkpoints of this state hold."""
        kept = (False,) if averaging is None else averaging.kept
        return Versions(self.model if False in kept else {}, self.average if True in kept else {})


@dataclass(frozen=True)
class LoadedModel:
    """A model in eval mode without parameter gradients, and its card."""

    model: nn.Module
    card: CheckpointCard


def environment(
    device: torch.device,
    *,
    compiled: bool,
    packages: Sequence[str] = (),
    network: ArchitectureSpec | None = None,
    fused: bool = False,
    processes: int = 1,
) -> str:
    """What two runs must share to agree bit by bit: torch's build, device, threads, compiling, and such packages.

    So, too, the package that the network comes from, where that is a team's own, whether others train with it, and how
    many processes compute it.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    how = "compiled" if compiled else "eager"
    versions = [f"{package} {version(package)}" for package in packages]
    if network is not None and (own := package_of(network)) is not None:
        versions.append(own)
    if processes > 1:
        versions.append(f"{processes} processes")
    if fused:
        versions.append(_FUSED)
    return ", ".join(
        [f"torch {torch.__version__}", f"{device.type} {name}", f"{torch.get_num_threads()} threads", how, *versions]
    )


def bit_identical(state: "TrainingState", device: torch.device, here: str) -> bool:
    """Whether training on from `state` in the environment `here` gives the bits of a run that was never stopped."""
    # What a fused run computes depends, in its last bits, on how many others there are.
    return device.type == "cpu" and state.environment == here and not here.endswith(_FUSED)


def encode_weights(tensors: dict[str, Tensor], card: CheckpointCard) -> bytes:
    """The weights file's bytes, in safetensors; equal inputs give equal bytes.

    Args:
        tensors: by name, such as a `TrainingState`'s `model` or a module's `state_dict()`, on any device.
        card: goes into the file's header, so that the file alone says what it is.
    """
    # A model's own tensors may lie channels-last; the file knows one order only.
    ordered = {name: tensor.contiguous() for name, tensor in tensors.items()}
    return save(ordered, metadata={HEADER: card.model_dump_json()})


def load_model(path: str | PathLike[str], device: torch.device | str) -> LoadedModel:
    """Build the model that a weights file describes and load its weights.

    It maps float32 [n, channels, height, width] in [0, 1] to logits [n, classes], its normalisation inside.

    Raises:
        CheckpointInvalid: damaged, no checkpoint of ours, or tensors unlike the architecture's or not finite.
        DeviceUnavailable: torch finds no such device here.
    """
    place = found_device(device)
    card, tensors = _read_weights(Path(path))
    return LoadedModel(build_loaded(tensors, card).to(place), card)


def build_loaded(tensors: dict[str, Tensor], card: CheckpointCard) -> nn.Module:
    """The model of `card` on the CPU, with its normalisation inside, in eval mode and without parameter gradients.

    Raises:
        CheckpointInvalid: the weights belong to another architecture.
    """
    network = build_model(card.architecture, card.image_shape, len(card.classes))
    load_weights(network, tensors)
    return normalised(network, card.normalisation).eval().requires_grad_(False)


def load_initial_weights(
    path: Path,
    architecture: ArchitectureSpec,
    image_shape: tuple[int, int, int],
    classes: int,
    normalisation: Normalisation | None = None,
) -> dict[str, Tensor]:
    """The tensors of a weights file, on the CPU, to start the training of such a model from.

    Raises:
        CheckpointInvalid: damaged, no checkpoint of ours, of a model of another kind, image shape or class count, or of
            one that normalises its input otherwise.
    """
    card, tensors = _read_weights(path)
    found = described(card.architecture, card.image_shape, len(card.classes))
    wanted = described(architecture, image_shape, classes)
    if found != wanted:
        raise CheckpointInvalid(f"The checkpoint to start from holds a {found}, but what is trained is a {wanted}.")
    if told := unlike_normalisation("The checkpoint to start from", card.normalisation, normalisation):
        raise CheckpointInvalid(told)
    return tensors


def encode_training_state(state: TrainingState) -> bytes:
    """The training state's bytes; equal states give equal bytes."""
    tensors = {f"model/{name}": tensor for name, tensor in state.model.items()}
    tensors |= {f"optimizer/{name}": tensor for name, tensor in state.optimizer.items()}
    tensors |= {f"critic/{name}": tensor for name, tensor in state.critic.items()}
    tensors |= {f"good/{name}": tensor for name, tensor in state.good.weights.items()}
    tensors |= {f"good average/{name}": tensor for name, tensor in state.good.average.items()}
    tensors |= {f"average/{name}": tensor for name, tensor in state.average.items()}
    tensors["totals"] = state.totals
    header = {
        "epoch": state.epoch,
        "batch": state.batch,
        "warnings": state.warnings,
        "environment": state.environment,
        "guard": asdict(state.guard),
    }
    return save(tensors, metadata={HEADER: json.dumps(header)})


def load_training_state(path: str | PathLike[str]) -> TrainingState:
    """Read what `encode_training_state` wrote.

    Raises:
        StateOutdated: it does not tell where in an epoch it was taken, as those of the first version do not.
        CheckpointInvalid: damaged or no training state.
    """
    file = Path(path)
    header, tensors = _read(file)
    if "epoch" in header and "batch" not in header:
        raise StateOutdated(f"{file.name} was written by a version of Gauntlet that this one cannot go on from.")
    try:
        return TrainingState(
            epoch=int(header["epoch"]),
            batch=int(header["batch"]),
            model=_below("model/", tensors),
            optimizer=_below("optimizer/", tensors),
            totals=tensors["totals"],
            warnings=tuple(header["warnings"]),
            environment=str(header["environment"]),
            critic=_below("critic/", tensors),
            # States of earlier versions have none.
            guard=GuardState(**header.get("guard", {})),
            good=Versions(_below("good/", tensors), _below("good average/", tensors)),
            average=_below("average/", tensors),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CheckpointInvalid(f"The header of {file.name} does not describe a training state.") from error


def capture(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Copies of the model's and the optimiser's tensors, on the CPU and contiguous."""
    moments = {
        f"{index}.{entry}": _detached(tensor)
        for index, entries in optimizer.state_dict()["state"].items()
        for entry, tensor in entries.items()
    }
    return copied(model), moments


def copied(model: nn.Module) -> dict[str, Tensor]:
    """Copies of a model's tensors, on the CPU and contiguous."""
    return {name: _detached(tensor) for name, tensor in model.state_dict().items()}


def restore(
    state: TrainingState,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    totals: Tensor,
    critic: nn.Module | None = None,
) -> None:
    """Put a captured state back, in place.

    Raises:
        CheckpointInvalid: the state belongs to another architecture.
    """
    load_weights(model, state.model)
    moments = {
        f"{index}.{entry}": tensor
        for index, entries in enumerate(optimizer.state.values())
        for entry, tensor in entries.items()
    }
    if _shapes(moments) != _shapes(state.optimizer) or totals.shape != state.totals.shape:
        raise CheckpointInvalid("The training state's optimiser belongs to another architecture.")
    for name, tensor in moments.items():
        tensor.copy_(state.optimizer[name])
    totals.copy_(state.totals)
    if critic is not None:
        load_weights(critic, state.critic)


def load_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Put weights into a model, in place.

    Raises:
        CheckpointInvalid: they belong to another architecture.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointInvalid("The weights belong to another architecture.") from error


def _shapes(tensors: dict[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _detached(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _read_weights(path: Path) -> tuple[CheckpointCard, dict[str, Tensor]]:
    with opened(path) as file:
        try:
            card = CheckpointCard.model_validate(_header(file, path))
        except ValidationError as error:
            raise CheckpointInvalid(f"The header of {path.name} does not describe a checkpoint.") from error
        network = card.architecture, card.image_shape, len(card.classes)
        own = {tensor: tensor for tensor in names(file)}
        return card, read_fitting(file, empty_state(*network), own, name=path.name, network=described(*network))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with opened(path) as file:
        return _header(file, path), {name: file.get_tensor(name) for name in names(file)}


def _header(file: safe_open, path: Path) -> dict[str, Any]:
    try:
        header = json.loads((file.metadata() or {})[HEADER])
    except (KeyError, ValueError, RecursionError) as error:
        raise CheckpointInvalid(f"{path.name} is no checkpoint file of ours.") from error
    if not isinstance(header, dict):
        raise CheckpointInvalid(f"The header of {path.name} is not an object.")
    return header
