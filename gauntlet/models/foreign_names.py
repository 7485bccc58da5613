"""Names that other programs give the tensors of networks known here.

Names only: which tensors there must be, and of which shapes, is as strict as under our own. What is left out of a file
is what a network does not compute its logits with.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from gauntlet.errors import CheckpointInvalid
from gauntlet.models.tensor_files import quoted
from gauntlet.spec.runs.architectures import ArchitectureSpec, Custom

# What holds a network puts a word before all of its names: nn.DataParallel, torch.compile, modules of one's own, and
# an nn.Sequential whose first part normalises.
_HOLDERS = ("module.", "_orig_mod.", "model.", "net.", "1.")
_Renaming = tuple[re.Pattern[str], str]
_RENAMED: dict[str, tuple[_Renaming, ...]] = {
    # pytorch-cifar's ResNet-18 (github.com/kuangliu/pytorch-cifar), which TRADES and RobustBench have too, and whose
    # input stem is the one built here.
    "resnet18": (
        (re.compile(r"(layer[1-4]\.[01])\.shortcut\.([01])\.(.*)"), r"\1.downsample.\2.\3"),
        (re.compile(r"linear\.(weight|bias)"), r"fc.\1"),
    ),
    "torchvision": (
        # As its older versions have them, and the weights that it offers still.
        (re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)"), r"\1\2"),
        (re.compile(r"(.*\.mlp)\.linear_1\.(weight|bias)"), r"\1.0.\2"),
        (re.compile(r"(.*\.mlp)\.linear_2\.(weight|bias)"), r"\1.3.\2"),
        # Ours has a place for what torchvision's network is in.
        (re.compile(r"(?!network\.)(.*)"), r"network.\1"),
    ),
    "custom": ((re.compile(r"(?!network\.)(.*)"), r"network.\1"),),
}
# What is in files and takes no part in what the network answers.
_IDLE: dict[str, tuple[_Renaming, ...]] = {
    # TRADES makes a second first block, and never calls it.
    **dict.fromkeys(
        ("wrn-28-10", "wrn-34-10"), ((re.compile(r"sub_block1\..*"), "a block that the network never calls"),)
    ),
    "torchvision": ((re.compile(r"(?:aux[12]|AuxLogits)\..*"), "further outputs, for training only"),),
}
# Of whichever network.
_IDLE_EVERYWHERE: tuple[_Renaming, ...] = (
    # The package `robustness` stores what it attacks a second time.
    (re.compile(r"attacker\..*"), "a second copy of the network"),
    # torch.optim.swa_utils.AveragedModel, beside the average.
    (re.compile(r"n_averaged"), "how many weights were averaged"),
    # The package `thop` leaves them in every module that it has counted the operations of.
    (re.compile(r"(?:.*\.)?total_(?:ops|params)"), "a profiler's counters"),
)
_NORMALISED = re.compile(r"(?:(?:module|_orig_mod|model|net|1)\.)*bn1?\.weight")
_MEANS, _DEVIATIONS = ("mean", "mu", "new_mean"), ("std", "sigma", "new_std")

_NAMING = {
    "resnet18": "A resnet18 has torchvision's names, or those of pytorch-cifar, TRADES and RobustBench (shortcut, "
    "linear)",
    "cnn": "A cnn has the names of its layers' places (0.0.weight to 4.bias)",
    "preactresnet18": "A preactresnet18 has the names of Wong et al. and RobustBench (conv1, layer1 to layer4, bn, "
    "linear)",
    "wrn-28-10": "A wrn-28-10 has the names of TRADES and RobustBench (conv1, block1 to block3, bn1, fc)",
    "wrn-34-10": "A wrn-34-10 has the names of TRADES and RobustBench (conv1, block1 to block3, bn1, fc)",
    "vit": "A vit has the names of its own (patches, blocks, head)",
    "torchvision": "A network of torchvision has the names that it has there",
    "custom": "A network of your own has the names of its own code",
}


@dataclass(frozen=True)
class Translation:
    """What a file's names stand for.

    `known` is our name of each tensor → the file's; one that is not known stands for itself. `idle` is the file's name
    of what takes no part in the logits → what that is. `normalisation` names the tensors of means and of standard
    deviations that the network's input is normalised with, where the file has them.
    """

    known: dict[str, str]
    idle: dict[str, str] = field(default_factory=dict)
    normalisation: tuple[str, str] | None = None

    @property
    def renamed(self) -> dict[str, str]:
        """The file's name → ours, where they differ."""
        return {theirs: ours for ours, theirs in self.known.items() if ours != theirs}


def translate(theirs: Iterable[str], architecture: ArchitectureSpec, wanted: Collection[str]) -> Translation:
    """What the names of a file's tensors stand for in such a network, whose own names are `wanted`.

    Raises:
        CheckpointInvalid: two of them stand for the same.
    """
    # By whether all that is wanted is there: a network may itself have a word before all of its names.
    tried = [_translated(list(theirs), architecture, held) for held in _held_by(theirs, architecture)]
    return next((found for found in reversed(tried) if found.known.keys() >= set(wanted)), tried[-1])


def naming(architecture: ArchitectureSpec, theirs: Collection[str] = ()) -> str:
    """Which names are understood, and what to do with others, for who has others."""
    holders = f"{', '.join(_HOLDERS[:-1])} or {_HOLDERS[-1]}"
    return (
        f"{likeness(architecture.kind, theirs)}{_NAMING[architecture.kind]}, with or without {holders} before all of "
        'them. docs/api.md, "Renaming tensors", shows how to rename others.'
    )


def likeness(kind: str, theirs: Collection[str]) -> str:
    """A sentence where the names are those of a network that looks like this one and computes something else."""
    ends = {name.rsplit(".", 2)[-2] for name in theirs if "." in name}
    if kind in _IDLE and {"init_conv", "logits"} <= ends:
        return (
            "These are the names of DeepMind's Wide ResNets, which pad their images otherwise and mostly have Swish "
            "for ReLU: in this network their weights would compute something else. "
        )
    # A network without one at its beginning, and with none at its end.
    if kind == "preactresnet18" and "linear" in ends and not any(map(_NORMALISED.fullmatch, theirs)):
        return "Without a normalisation before its last layer (bn), as pytorch-cifar has it, it is another network. "
    return ""


@dataclass(frozen=True)
class _Held:
    """What is to be taken for a network's: the file's name → the rest of it, behind what holds it."""

    names: dict[str, str]
    idle: dict[str, str]
    normalisation: tuple[str, str] | None


def _held_by(theirs: Iterable[str], architecture: ArchitectureSpec) -> list[_Held]:
    """The file's names with nothing taken off, then with one word after another."""
    found = [_without_others(_Held({name: name for name in theirs}, {}, None), architecture)]
    while (word := _holder(found[-1].names.values())) is not None:
        last = found[-1]
        shorter = {name: rest.removeprefix(word) for name, rest in last.names.items()}
        found.append(_without_others(_Held(shorter, last.idle, last.normalisation), architecture))
    return found


def _without_others(held: _Held, architecture: ArchitectureSpec) -> _Held:
    """Without what is no part of the network: a normalisation in front of it, and what is never called."""
    if isinstance(architecture, Custom):
        # Its code alone knows what is part of it.
        return held
    patterns = (*_IDLE.get(architecture.kind, ()), *_IDLE_EVERYWHERE)
    idle = {name: what for name, rest in held.names.items() for pattern, what in patterns if pattern.fullmatch(rest)}
    left = {name: rest for name, rest in held.names.items() if name not in idle}
    normalisation = held.normalisation or _normalisation(left)
    return _Held(
        {name: rest for name, rest in left.items() if normalisation is None or name not in normalisation},
        held.idle | idle,
        normalisation,
    )


def _normalisation(names: dict[str, str]) -> tuple[str, str] | None:
    """The file's names of means and of standard deviations that lie side by side."""
    by_rest = {rest: name for name, rest in names.items()}
    for rest, name in by_rest.items():
        before, dot, last = rest.rpartition(".")
        if last in _MEANS and (beside := by_rest.get(f"{before}{dot}{_DEVIATIONS[_MEANS.index(last)]}")) is not None:
            return name, beside
    return None


def _holder(names: Collection[str]) -> str | None:
    """The word that all names begin with."""
    return next((word for word in _HOLDERS if names and all(name.startswith(word) for name in names)), None)


def _translated(theirs: list[str], architecture: ArchitectureSpec, held: _Held) -> Translation:
    found: dict[str, str] = {}
    for name in theirs:
        if name not in held.names:
            continue
        ours = held.names[name]
        for pattern, known in _RENAMED.get(architecture.kind, ()):
            if (match := pattern.fullmatch(ours)) is not None:
                ours = match.expand(known)
        if ours in found:
            raise CheckpointInvalid(
                f"The tensors {quoted(found[ours])} and {quoted(name)} both stand for {quoted(ours)}."
            )
        found[ours] = name
    return Translation(found, held.idle, held.normalisation)
