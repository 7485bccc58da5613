"""Is an imported model the model it was? AutoAttack's own example, a ResNet-18 for CIFAR-10, as it is and imported.

    python -m benchmarks.correctness.imported_resnet --data-root DATA --out benchmarks/results/imported_resnet.json

Its weights come with pyautoattack, whose network names the same layers otherwise than torchvision's. They are written
as safetensors, imported as the service imports a file, and compared: logits and accuracy on the first test
images of `DATA/cifar10` (a folder of images), and with `--autoattack N EPS` the standard evaluation image by image.
"""

import argparse
import importlib.util
import json
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from pyautoattack import AutoAttack
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.machine import describe_machine
from gauntlet.data.datasets import ImageSet, load_split, to_unit
from gauntlet.evaluation.loop import evaluate
from gauntlet.evaluation.preflight import preflight
from gauntlet.models.checkpoints import LoadedModel, encode_weights, load_model
from gauntlet.models.foreign_weights import read_foreign_weights
from gauntlet.results.intervals import wilson_interval
from gauntlet.spec.checkpoint_card import CheckpointCard, ImportCard
from gauntlet.spec.eps import format_eps, parse_eps
from gauntlet.spec.evaluations.attacks import AutoAttack as AutoAttackSpec
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.architectures import ResNet

CPU = torch.device("cpu")
_BATCH = 100


def main() -> None:
    """Import, compare, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1_000)
    parser.add_argument(
        "--autoattack",
        nargs=2,
        action="append",
        default=[],
        metavar=("N", "EPS"),
        help="also attack the first N images at EPS, both ways; may be repeated",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    test, classes = load_split(ImageFolder(folder="cifar10"), "test", options.data_root)
    theirs = package_model()
    ours = imported(theirs.state_dict(), classes).model
    found: dict[str, Any] = {
        "machine": describe_machine(),
        "threads": options.threads,
        "compared": compare(theirs, ours, test.take(options.images)),
    }
    found["autoattack"] = [
        attack_both(theirs, ours, test.take(int(samples)), len(classes), parse_eps(eps))
        for samples, eps in options.autoattack
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def package_model() -> nn.Module:
    """The example network of pyautoattack with its example weights, in eval mode."""
    package = importlib.util.find_spec("pyautoattack")
    assert package is not None
    assert package.origin is not None
    examples = Path(package.origin).parent / "examples"
    # The folder is no package, so its module is loaded by its file.
    module_spec = importlib.util.spec_from_file_location("pyautoattack_resnet", examples / "resnet.py")
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    network: nn.Module = module.ResNet18()
    network.load_state_dict(torch.load(examples / "model_test.pt", map_location="cpu", weights_only=True))
    return network.eval()


def imported(weights: dict[str, Tensor], classes: tuple[str, ...]) -> LoadedModel:
    """The same weights through a foreign safetensors file and a checkpoint file of ours."""
    card = card_of(classes)
    with tempfile.TemporaryDirectory() as folder:
        foreign, own = Path(folder) / "foreign.safetensors", Path(folder) / "own.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in weights.items()}, foreign)
        tensors = read_foreign_weights(foreign, card.architecture, card.image_shape, len(classes)).tensors
        own.write_bytes(encode_weights(tensors, card))
        return load_model(own, CPU)


def card_of(classes: tuple[str, ...]) -> CheckpointCard:
    """What an import says of the model."""
    return ImportCard(
        name="AutoAttack's example",
        source="pyautoattack, examples/model_test.pt",
        architecture=ResNet(),
        dataset=ImageFolder(folder="cifar10"),
        classes=classes,
    ).card()


def compare(theirs: nn.Module, ours: nn.Module, images: ImageSet) -> dict[str, Any]:
    """Both models' logits on the same images, and accuracies."""
    with torch.no_grad():
        logits = [(theirs(batch), ours(batch)) for batch, _ in images.batches(_BATCH)]
    first, second = (torch.cat(side) for side in zip(*logits, strict=True))
    accuracy = (second.argmax(dim=1) == images.labels).double().mean().item()
    low, high = wilson_interval(accuracy, len(images))
    findings = preflight(ours, to_unit(images.images[:_BATCH]), images.labels[:_BATCH], second.shape[1])
    return {
        "images": len(images),
        "largest_logit": round(first.abs().max().item(), 4),
        "largest_difference": (first - second).abs().max().item(),
        "equal_predictions": int((first.argmax(dim=1) == second.argmax(dim=1)).sum()),
        "natural_accuracy": accuracy,
        "natural_wilson_95": [round(low, 4), round(high, 4)],
        "findings": [finding.model_dump() for finding in findings],
    }


def attack_both(theirs: nn.Module, ours: nn.Module, images: ImageSet, classes: int, eps: Fraction) -> dict[str, Any]:
    """The authors' own evaluation of their model and ours of the imported one: same images, batches and seed."""
    started = time.perf_counter()
    reference = AutoAttack(theirs, norm="Linf", eps=float(eps), version="standard", seed=0, device=CPU)
    inputs = to_unit(images.images).contiguous()
    _, predicted = reference.run_standard_evaluation(inputs, images.labels, batch_size=_BATCH)
    flags = predicted == images.labels
    between = time.perf_counter()

    spec = EvaluationSpec(attacks=(AutoAttackSpec(eps=eps),), samples=len(images), batch_size=_BATCH, seed=0)
    own = torch.ones(len(images), dtype=torch.bool)
    for batch in evaluate(ours, images, spec, classes, device=CPU):
        own[list(batch.images)] &= torch.tensor(batch.robust, dtype=torch.bool)
        print(batch.stage, batch.batch, int(own.sum()), flush=True)
    return {
        "images": len(images),
        "batch_size": _BATCH,
        "eps": format_eps(eps),
        "robust_theirs": int(flags.sum()),
        "robust_ours": int(own.sum()),
        "flags_that_differ": torch.nonzero(flags != own).flatten().tolist(),
        "seconds_theirs": round(between - started, 1),
        "seconds_ours": round(time.perf_counter() - between, 1),
    }


if __name__ == "__main__":
    main()
