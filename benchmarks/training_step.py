"""The speed of a training step, ours beside what people use; the paper's network at batch 32.

    python -m benchmarks.training_step --out benchmarks/results/training_step.json

One pass is FGSM examples at 8/255 for every image and an update with each batch. On a GPU add `--device cuda`.
"""

from collections.abc import Callable

import torch

from benchmarks import peers
from benchmarks.rounds import prepare, publish, race, random_images
from gauntlet.data.datasets import Dataset, ImageSet, to_unit
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.experiment import RunSpec
from gauntlet.training.loop import build_epochs

BATCH = 32
# What is asked of the engine, measured in one run: images/s as a multiple of each peer's.
WANTED = {
    "fp32, compiled": {"naive": 1.8, "torchattacks": 1.5, "art": 1.7},
    "bf16, compiled": {"naive": 6.5, "torchattacks": 5.5, "art": 6.0},
}


def main() -> None:
    """Race all ways against each other and write what was found."""
    options = prepare(__doc__, images=960)
    device = torch.device(options.device)
    pixels, labels = random_images(options.images)
    floats = to_unit(pixels).contiguous()
    ways: dict[str, Callable[[], object]] = {
        "naive": peers.naive_training(floats, labels, BATCH, device),
        "torchattacks": peers.torchattacks_training(floats, labels, BATCH, device),
        "art": peers.art_training(floats, labels, BATCH, device),
    }
    for precision in ("fp32", "bf16"):
        for name, compile_ in (("eager", "off"), ("compiled", "on")):
            ways[f"{precision}, {name}"] = gauntlet_training(pixels, labels, device, precision, compile_)
    found = race(ways, images=options.images, rounds=options.rounds, base="naive")
    reached = {
        way: {
            peer: {
                "wanted": ratio,
                "measured": round(found[way]["images_per_second"] / found[peer]["images_per_second"], 2),
            }
            for peer, ratio in peers_.items()
        }
        for way, peers_ in WANTED.items()
    }
    publish(options, found, reached)


def gauntlet_training(
    pixels: torch.Tensor,
    labels: torch.Tensor,
    device: torch.device,
    precision: str = "fp32",
    compile_: str = "off",
    objective: str = "cross_entropy",
) -> Callable[[], None]:
    """Our loop, as a run does it, over uint8 images [n, 3, 32, 32] and labels [n]; returns a pass over them."""
    spec = RunSpec.model_validate(
        {
            "dataset": {"name": "cifar10"},
            "architecture": {"kind": "cnn"},
            "objective": {"kind": objective},
            "adversary": {"kind": "fgsm", "eps": "8/255"},
            "training": {"batch_size": BATCH, "precision": precision, "compile": compile_},
            "evaluation": {},
            "seed": 0,
        }
    )
    images = ImageSet(pixels, labels)
    data = Dataset(images, images, tuple("abcdefghij"))
    model = build_model(spec.architecture, data.image_shape, len(data.classes))
    initialise(model, spec.seed)
    model.to(device)
    epochs = build_epochs(spec, data, model)

    def one_pass() -> None:
        for _ in epochs.run(1, 0):
            pass
        # The epoch's end reads the tally, so a GPU has finished too.

    return one_pass


if __name__ == "__main__":
    main()
