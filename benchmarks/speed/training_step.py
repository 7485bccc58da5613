"""The speed of a training step, ours beside what people use, at batch 32; one race for each network and attack.

    python -m benchmarks.speed.training_step --out benchmarks/results/training_step.json
    python -m benchmarks.speed.training_step --races resnet18 --out benchmarks/results/training_step.json

One pass attacks every image at 8/255 and makes an update with each batch. A race that is run takes its place in the
file, and the others keep theirs. On a GPU add `--device cuda`.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.speed import peers
from benchmarks.speed.rounds import prepare, publish_race, race, random_images
from gauntlet.data.datasets import Dataset, ImageSet, to_unit
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.experiment import RunSpec
from gauntlet.training.loop import build_epochs
from gauntlet.training.updates import run

BATCH = 32
_RMSPROP = {"kind": "rmsprop"}
_SGD = {"kind": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 5e-4}


@dataclass(frozen=True)
class Race:
    """What peers train, and the same as our spec has it.

    `wanted` is what is asked of the engine, images/s as a multiple of each peer's. `images` and `rounds` take less
    than five minutes on one core of 2022.
    """

    recipe: peers.Recipe
    spec: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    wanted: Mapping[str, Mapping[str, float]]
    images: int
    rounds: int


RACES = {
    "cnn, fgsm": Race(
        peers.Recipe(peers.plain_cnn, peers.rmsprop),
        spec={},
        optimizer=_RMSPROP,
        wanted={
            "fp32, compiled": {"naive": 1.8, "torchattacks": 1.5, "art": 1.7},
            "bf16, compiled": {"naive": 6.5, "torchattacks": 5.5, "art": 6.0},
        },
        images=960,
        rounds=9,
    ),
    "cnn, pgd10": Race(
        peers.Recipe(peers.plain_cnn, peers.rmsprop, pgd_steps=10),
        spec={"adversary": {"kind": "pgd", "eps": "8/255", "steps": 10, "step": 0.25}},
        optimizer=_RMSPROP,
        wanted={},
        images=256,
        rounds=5,
    ),
    "resnet18, fgsm": Race(
        peers.Recipe(peers.plain_resnet18, peers.sgd),
        spec={"architecture": {"kind": "resnet18"}},
        optimizer=_SGD,
        # Of a CPU with AMX.
        wanted={"bf16, compiled": {"naive": 2.0}},
        images=64,
        rounds=3,
    ),
}


def main() -> None:
    """Run the races, each way against each other, and write what was found."""
    options = prepare(__doc__, images=None, rounds=None, races=tuple(RACES))
    for name in options.races:
        chosen = RACES[name]
        print(name, flush=True)
        settings = vars(options) | {
            "images": options.images or chosen.images,
            "rounds": options.rounds or chosen.rounds,
        }
        _run(name, chosen, argparse.Namespace(**settings))


def _run(name: str, chosen: Race, options: argparse.Namespace) -> None:
    device = torch.device(options.device)
    pixels, labels = random_images(options.images)
    floats = to_unit(pixels).contiguous()
    theirs = {
        "naive": peers.naive_training,
        "torchattacks": peers.torchattacks_training,
        "art": peers.art_training,
    }
    ways: dict[str, Callable[[], object]] = {
        peer: prepared(chosen.recipe, floats, labels, BATCH, device) for peer, prepared in theirs.items()
    }
    for precision in ("fp32", "bf16"):
        for way, compile_ in (("eager", "off"), ("compiled", "on")):
            ways[f"{precision}, {way}"] = gauntlet_training(
                pixels, labels, device, precision, compile_, optimizer=chosen.optimizer, **chosen.spec
            )
    found = race(ways, images=options.images, rounds=options.rounds, base="naive", clock=options.clock)
    reached = {
        way: {
            peer: {
                "wanted": ratio,
                "measured": round(found[way]["images_per_second"] / found[peer]["images_per_second"], 2),
            }
            for peer, ratio in asked.items()
        }
        for way, asked in chosen.wanted.items()
    }
    publish_race(options, name, found, reached)


def gauntlet_training(
    pixels: torch.Tensor,
    labels: torch.Tensor,
    device: torch.device,
    precision: str = "fp32",
    compile_: str = "off",
    *,
    optimizer: Mapping[str, Any] = _RMSPROP,
    **parts: object,
) -> Callable[[], None]:
    """Our loop, as a run does it, over uint8 images [n, 3, 32, 32] and labels [n]; returns a pass over them.

    `parts` are fields of the spec, in place of the paper's network, cross-entropy and FGSM.
    """
    spec = RunSpec.model_validate(
        {
            "dataset": {"name": "cifar10"},
            "architecture": {"kind": "cnn"},
            "objective": {"kind": "cross_entropy"},
            "adversary": {"kind": "fgsm", "eps": "8/255"},
            "training": {"batch_size": BATCH, "optimizer": optimizer, "precision": precision, "compile": compile_},
            "evaluation": {},
            "seed": 0,
        }
        | parts
    )
    images = ImageSet(pixels, labels)
    data = Dataset(images, images, tuple("abcdefghij"))
    model = build_model(spec.architecture, data.image_shape, len(data.classes))
    initialise(model, spec.seed)
    model.to(device)
    epochs = build_epochs(spec, data, model)

    def one_pass() -> None:
        for _ in run(epochs.updates(1, 0)):
            pass
        # The epoch's end reads the tally, so a GPU has finished too.

    return one_pass


if __name__ == "__main__":
    main()
