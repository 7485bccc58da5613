"""Names that other programs give the tensors of networks known here.

Names only: which tensors there must be, and of which shapes, is as strict as under our own.
"""

import re
from collections.abc import Iterable

from gauntlet.errors import CheckpointInvalid
from gauntlet.models.tensor_files import quoted
from gauntlet.spec.architectures import ArchitectureSpec

# What holds a network puts a word before all of its names: nn.DataParallel, torch.compile, and modules of one's own.
_HOLDERS = ("module.", "_orig_mod.", "model.", "net.")
# pytorch-cifar's ResNet-18 (github.com/kuangliu/pytorch-cifar), whose input stem is the one built here, too.
_RENAMED: dict[str, tuple[tuple[re.Pattern[str], str], ...]] = {
    "resnet18": (
        (re.compile(r"(layer[1-4]\.[01])\.shortcut\.([01])\.(.*)"), r"\1.downsample.\2.\3"),
        (re.compile(r"linear\.(weight|bias)"), r"fc.\1"),
    ),
    # Ours has a place for what torchvision's network is in.
    "torchvision": ((re.compile(r"(?!network\.)(.*)"), r"network.\1"),),
    "custom": ((re.compile(r"(?!network\.)(.*)"), r"network.\1"),),
}
_NAMING = {
    "resnet18": "A resnet18 has torchvision's names, or pytorch-cifar's (shortcut, linear)",
    "cnn": "A cnn has the names of its layers' places (0.0.weight to 4.bias)",
    "preactresnet18": "A preactresnet18 has the names of Wong et al. (conv1, layer1 to layer4, bn, linear)",
    "wrn-28-10": "A wrn-28-10 has the names of TRADES and RobustBench (conv1, block1 to block3, bn1, fc)",
    "wrn-34-10": "A wrn-34-10 has the names of TRADES and RobustBench (conv1, block1 to block3, bn1, fc)",
    "vit": "A vit has the names of its own (patches, blocks, head)",
    "torchvision": "A network of torchvision has the names that it has there",
    "custom": "A network of your own has the names of its own code",
}


def known_names(theirs: Iterable[str], architecture: ArchitectureSpec) -> dict[str, str]:
    """Our name of each of a file's tensors → the file's; one that is not known stands for itself.

    Raises:
        CheckpointInvalid: two of them stand for the same.
    """
    found: dict[str, str] = {}
    names = list(theirs)
    held = len(_holder(names))
    for name in names:
        ours = name[held:]
        for pattern, known in _RENAMED.get(architecture.kind, ()):
            ours = pattern.sub(known, ours) if pattern.fullmatch(ours) else ours
        if ours in found:
            raise CheckpointInvalid(
                f"The tensors {quoted(found[ours])} and {quoted(name)} both stand for {quoted(ours)}."
            )
        found[ours] = name
    return found


def naming(architecture: ArchitectureSpec) -> str:
    """Which names are understood, and what to do with others, for who has others."""
    holders = f"{', '.join(_HOLDERS[:-1])} or {_HOLDERS[-1]}"
    return (
        f"{_NAMING[architecture.kind]}, with or without {holders} before all of them. "
        'docs/api.md, "Renaming tensors", shows how to rename others.'
    )


def _holder(names: list[str]) -> str:
    """The longest run of holders' words that all names begin with."""
    before = ""
    while names:
        for word in _HOLDERS:
            if all(name.startswith(before + word) for name in names):
                before += word
                break
        else:
            break
    return before
