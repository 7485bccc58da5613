"""Is a compiled step's gradient the plain one's? Each in fp32, held against the same gradient in fp64.

    python -m benchmarks.compiled_gradients --out benchmarks/results/compiled_gradients.json

Cross-entropy of a fresh network in train mode on 32 digits, natural, and attacked by N-FGSM at 8/255 with the signs of
the fp64 gradient, so that every side sees the same images. Beside it, how many of the attack's signs differ between
fp32 and fp64, and what that alone, uncompiled, makes of the gradient: a network that turns a rounding error of the
input's gradient into another sign has other gradients after it, compiled or not.
"""

import argparse
import copy
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import TypeAdapter
from torch import Tensor, nn

from benchmarks.machine import describe_machine
from benchmarks.rounds import race
from gauntlet.data.datasets import load_split, to_unit
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.architectures import ArchitectureSpec
from gauntlet.spec.kinds import Digits
from gauntlet.training.compilation import compiled

_IMAGES = 32
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
    images, labels = to_unit(split.images[:_IMAGES]), split.labels[:_IMAGES]
    found: dict[str, Any] = {"machine": describe_machine(), "images": _IMAGES, "eps": "8/255", "networks": {}}
    for kind in options.networks:
        found["networks"][kind] = compare(kind, images, labels)
        options.out.write_text(json.dumps(found, indent=2) + "\n")
        print(kind, json.dumps(found["networks"][kind], indent=2))


def compare(kind: str, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """The largest differences of any weight's gradient, beside the largest gradient, and images/s of each."""
    architecture = TypeAdapter(ArchitectureSpec).validate_python(
        {"kind": kind, "dropout": False} if kind == "cnn" else {"kind": kind}
    )
    plain = build_model(architecture, (1, 16, 16), 10).train()
    initialise(plain, 0)
    exact, fast = copy.deepcopy(plain).double(), copy.deepcopy(plain)

    def step(inputs: Tensor) -> Sequence[Tensor]:
        return torch.autograd.grad(F.cross_entropy(fast(inputs), labels), list(fast.parameters()))

    quick = compiled(step)
    started = time.perf_counter()
    quick(images)
    found: dict[str, Any] = {"seconds_to_compile": round(time.perf_counter() - started, 1)}
    start = images + torch.empty_like(images).uniform_(-2 * _EPS, 2 * _EPS, generator=torch.Generator().manual_seed(0))
    signs, exact_signs = _signs(plain, start, labels), _signs(exact, start.double(), labels).float()
    attacked = (start + _EPS * exact_signs).clamp(0, 1)
    for name, inputs in (("natural", images), ("attacked", attacked)):
        truth = _gradient(exact, inputs.double(), labels)
        of_plain, of_compiled = _gradient(plain, inputs, labels), quick(inputs)
        found[name] = {
            "largest_gradient": max(each.abs().max().item() for each in truth),
            "plain_from_fp64": _apart(of_plain, truth),
            "compiled_from_fp64": _apart(of_compiled, truth),
            "compiled_from_plain": _apart(of_compiled, of_plain),
        }
    otherwise = (start + _EPS * signs).clamp(0, 1)
    found["signs"] = {
        "of": signs.numel(),
        "that_differ_in_fp32": int((signs != exact_signs).sum()),
        "plain_from_fp64_then": _apart(
            _gradient(plain, otherwise, labels), _gradient(exact, attacked.double(), labels)
        ),
    }
    ways = {"plain": lambda: _gradient(plain, images, labels), "compiled": lambda: quick(images)}
    found["speed"] = race(ways, images=_IMAGES, rounds=_ROUNDS, base="plain")
    return found


def _gradient(model: nn.Module, inputs: Tensor, labels: Tensor) -> Sequence[Tensor]:
    return torch.autograd.grad(F.cross_entropy(model(inputs), labels), list(model.parameters()))


def _signs(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    at = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(at), labels), at)
    return gradient.sign()


def _apart(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return max((a.double() - b.double()).abs().max().item() for a, b in zip(one, other, strict=True))


if __name__ == "__main__":
    main()
