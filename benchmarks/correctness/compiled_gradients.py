"""Is a compiled step's gradient the plain one's? Each in fp32, held against the same gradient in fp64.

    python -m benchmarks.correctness.compiled_gradients --out benchmarks/results/compiled_gradients.json

Cross-entropy of a fresh network in train mode on batches of 32 digits, natural, and attacked by N-FGSM at 8/255 with
the signs of the fp64 gradient, so that every side sees the same images. A distance is the length of the difference over
that of the fp64 gradient, one for each batch. Beside it, how many of the attack's signs differ between fp32 and fp64,
and how far that alone, uncompiled, takes the gradient: a network that turns a rounding error of the input's gradient
into another sign, or of an activation into another side of a ReLU, has other gradients after it, compiled or not.
"""

import argparse
import copy
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor, nn

from benchmarks.machine import describe_machine
from benchmarks.speed.rounds import race
from gauntlet.data.datasets import load_split, to_unit
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.kinds import Digits
from gauntlet.spec.runs.architectures import ArchitectureSpec
from gauntlet.training.steps.compilation import compiled

_BATCHES, _IMAGES = 4, 32
_EPS = 8 / 255
_NETWORKS = ("cnn", "resnet18", "preactresnet18")
_ROUNDS = 9


def main() -> None:
    """Compare each network, and write what was found after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=_NETWORKS)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    split, _ = load_split(Digits(), "train", Path())
    images, labels = to_unit(split.images[: _BATCHES * _IMAGES]), split.labels[: _BATCHES * _IMAGES]
    batches = list(zip(images.split(_IMAGES), labels.split(_IMAGES), strict=True))
    found: dict[str, Any] = {"machine": describe_machine(), "batch": _IMAGES, "eps": "8/255", "networks": {}}
    for kind in options.networks:
        found["networks"][kind] = compare(kind, batches)
        options.out.write_text(json.dumps(found, indent=1) + "\n")
        print(kind, json.dumps(found["networks"][kind], indent=1))


def compare(kind: str, batches: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """How far the sides are apart on each batch, how many signs differ, and images/s of plain and compiled."""
    architecture = TypeAdapter(ArchitectureSpec).validate_python(
        {"kind": kind, "dropout": False} if kind == "cnn" else {"kind": kind}
    )
    plain = build_model(architecture, (1, 16, 16), 10).train()
    initialise(plain, 0)
    exact, fast = copy.deepcopy(plain).double(), copy.deepcopy(plain)
    quick = compiled(lambda images, labels: _gradient(fast, images, labels))
    images, labels = batches[0]
    started = time.perf_counter()
    quick(images, labels)
    found: dict[str, Any] = {"seconds_to_compile": round(time.perf_counter() - started, 1)}
    distances: dict[str, list[float]] = defaultdict(list)
    differing = 0
    generator = torch.Generator().manual_seed(0)
    for images, labels in batches:
        start = images + torch.empty_like(images).uniform_(-2 * _EPS, 2 * _EPS, generator=generator)
        signs, truth = _signs(plain, start, labels), _signs(exact, start.double(), labels).float()
        differing += int((signs != truth).sum())
        attacked, otherwise = ((start + _EPS * each).clamp(0, 1) for each in (truth, signs))
        for name, inputs in (("natural", images), ("attacked", attacked)):
            right = _gradient(exact, inputs.double(), labels)
            distances[f"{name}: plain from fp64"].append(_distance(_gradient(plain, inputs, labels), right))
            distances[f"{name}: compiled from fp64"].append(_distance(quick(inputs, labels), right))
        right = _gradient(exact, attacked.double(), labels)
        distances["attacked by its own signs: plain from fp64"].append(
            _distance(_gradient(plain, otherwise, labels), right)
        )
    images, labels = batches[0]
    ways = {"plain": lambda: _gradient(plain, images, labels), "compiled": lambda: quick(images, labels)}
    return found | {
        "distances": {name: [float(f"{each:.2g}") for each in of_batches] for name, of_batches in distances.items()},
        "signs_that_differ_in_fp32": f"{differing} of {sum(images.numel() for images, _ in batches)}",
        "speed": race(ways, images=_IMAGES, rounds=_ROUNDS, base="plain"),
    }


def _gradient(model: nn.Module, inputs: Tensor, labels: Tensor) -> Sequence[Tensor]:
    return torch.autograd.grad(F.cross_entropy(model(inputs), labels), list(model.parameters()))


def _signs(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    at = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(at), labels), at)
    return gradient.sign()


def _distance(one: Sequence[Tensor], right: Sequence[Tensor]) -> float:
    ours, theirs = (torch.cat([each.double().flatten() for each in gradients]) for gradients in (one, right))
    return float((ours - theirs).norm() / theirs.norm())


if __name__ == "__main__":
    main()
