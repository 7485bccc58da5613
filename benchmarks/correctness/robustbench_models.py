"""Whether networks that the package `robustbench` builds have the same logits once saved, converted and imported.

    python -m venv /tmp/robustbench
    /tmp/robustbench/bin/pip install -e . robustbench==1.1.1
    /tmp/robustbench/bin/python -m benchmarks.correctness.robustbench_models \
        [--out benchmarks/results/robustbench_models.json]

It is no dependency of the tests: it pins `timm` and `gdown` and brings `torchdiffeq`, `geotorch` and `pandas`. Weights
are random, and the statistics of batch normalisation too, so that a mistaken name changes the logits.
"""

import argparse
import importlib
import io
import json
import sys
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyautoattack
import torch
from torch import nn

from gauntlet.models.checkpoints import build_loaded
from gauntlet.models.conversion import convert
from gauntlet.models.foreign_weights import read_foreign_weights
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.kinds import Cifar10, ImageFolder
from gauntlet.spec.runs.architectures import ArchitectureSpec, Torchvision
from gauntlet.torchvision_ops import declare_missing_operators

# The zoo's name of each, the data set and threat that it is listed under, and how its file is wrapped. Which network of
# ours it is only torchvision's has to be told.
NETWORKS: tuple[tuple[str, str, str, str, ArchitectureSpec | None], ...] = (
    ("Sehwag2021Proxy_R18", "cifar10", "Linf", "state_dict", None),
    ("Modas2021PRIMEResNet18", "cifar10", "corruptions", "", None),
    ("Rice2020Overfitting", "cifar10", "L2", "module.", None),
    ("Kireev2021Effectiveness_RLAT", "cifar10", "corruptions", "last", None),
    ("Carmon2019Unlabeled", "cifar10", "Linf", "state_dict module.", None),
    ("Rony2019Decoupling", "cifar10", "L2", "net", None),
    ("Zhang2019Theoretically", "cifar10", "Linf", "", None),
    ("Chen2020Efficient", "cifar10", "Linf", "model", None),
    ("Salman2020Do_R18", "imagenet", "Linf", "state_dict", Torchvision(name="resnet18")),
    ("Salman2020Do_50_2", "imagenet", "Linf", "", Torchvision(name="wide_resnet50_2")),
)
# Networks of the zoo that look like one of the catalogue's and compute something else.
REFUSED = (
    ("Gowal2020Uncovering_28_10_extra", "cifar10", "Linf"),
    ("Wong2020Fast", "cifar10", "Linf"),
    ("Engstrom2019Robustness", "cifar10", "Linf"),
)


def zoo() -> Mapping[Any, Any]:
    """The package's networks, by data set, threat and name."""
    declare_missing_operators()
    # The name that it imports AutoAttack under, where the registry has it under another.
    sys.modules.setdefault("autoattack", pyautoattack)
    return importlib.import_module("robustbench.model_zoo").model_dicts  # type: ignore[no-any-return]  # untyped


def randomised(network: nn.Module, seed: int) -> nn.Module:
    """Eval mode, with statistics of batch normalisation that are not those of a network which has seen nothing."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.running_mean, -0.3, 0.3),
                (module.running_var, 0.6, 1.6),
                (module.weight.data, 0.6, 1.4),
                (module.bias.data, -0.3, 0.3),
            ):
                assert tensor is not None
                tensor.uniform_(low, high, generator=generator)
    return network.eval()


def wrapped(network: nn.Module, how: str) -> Any:
    """The network's state as files have it."""
    state: Any = network.state_dict()
    for word in reversed(how.split()):
        if word.endswith("."):
            state = {f"{word}{name}": tensor for name, tensor in state.items()}
        else:
            state = {word: state, "epoch": 7, "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 0.1}]}}
    return state


def compared(theirs: nn.Module, how: str, architecture: ArchitectureSpec | None, folder: Path) -> dict[str, Any]:
    """The network saved by torch, converted, read as an import reads it; and its logits beside the package's."""
    saved, ours = folder / "model.pt", folder / "model.safetensors"
    torch.save(wrapped(theirs, how), saved)
    found = convert(saved, architecture)
    ours.write_bytes(found.encoded())
    large = isinstance(found.architecture, Torchvision)
    shape = (3, 224, 224) if large else (3, 32, 32)
    said = found.weights.normalisation
    card = CheckpointCard(
        architecture=found.architecture,
        dataset=ImageFolder(folder="imagenet", image_size=224) if large else Cifar10(),
        classes=tuple(f"class {number}" for number in range(found.classes)),
        image_shape=shape,
        normalisation=said,
        origin=Imported(name="theirs"),
    )
    weights = read_foreign_weights(ours, found.architecture, shape, found.classes, said)
    model = build_loaded(weights.tensors, card)
    images = torch.rand(4 if large else 8, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, expected = model(images), theirs(images)
    return {
        "architecture": found.architecture.model_dump(mode="json"),
        "wrapped": how or "not",
        "renamed": len(found.weights.names.renamed),
        "left_out": len(found.weights.names.idle),
        "normalisation": None if said is None else said.model_dump(mode="json"),
        "largest_logit": float(expected.abs().max()),
        "spread": float(expected.std(dim=0).max()),
        "largest_difference": float((logits - expected).abs().max()),
        "same_bits": bool(torch.equal(logits, expected)),
    }


def refusal(theirs: nn.Module, folder: Path) -> str:
    """What is said of a network that is none of the catalogue's."""
    content = io.BytesIO()
    torch.save(theirs.state_dict(), content)
    (folder / "model.pt").write_bytes(content.getvalue())
    try:
        convert(folder / "model.pt")
    except Exception as error:  # noqa: BLE001  # whatever is said is the record
        return str(error)
    raise AssertionError("It was taken for a network of the catalogue.")


def main() -> None:
    """Compare all of them, and write what was found."""
    options = argparse.ArgumentParser()
    options.add_argument("--out", type=Path)
    out: Path | None = options.parse_args().out
    networks = {
        (str(dataset.value), str(threat.value), name): entry["model"]
        for dataset, threats in zoo().items()
        for threat, entries in threats.items()
        for name, entry in entries.items()
    }
    rows, refused = [], []
    with tempfile.TemporaryDirectory() as folder:
        for seed, (name, dataset, threat, how, architecture) in enumerate(NETWORKS):
            torch.manual_seed(seed)
            theirs = randomised(networks[dataset, threat, name](), seed)
            row = {"name": f"{name} ({threat})"} | compared(theirs, how, architecture, Path(folder))
            print(json.dumps(row))
            rows.append(row)
        for name, dataset, threat in REFUSED:
            refused.append({"name": name, "said": refusal(networks[dataset, threat, name](), Path(folder))})
            print(json.dumps(refused[-1]))
    assert all(row["largest_difference"] <= 1e-5 * row["largest_logit"] for row in rows)
    if out is not None:
        packages = {name: version(name) for name in ("robustbench", "timm", "torch", "torchvision")}
        out.write_text(json.dumps({"packages": packages, "networks": rows, "refused": refused}, indent=2) + "\n")


if __name__ == "__main__":
    main()
