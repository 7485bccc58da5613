"""The speed of measuring natural and FGSM test accuracy, ours beside a loop as most people write it.

python -m benchmarks.speed.evaluation --out benchmarks/results/evaluation.json
"""

from collections.abc import Callable
from fractions import Fraction
from functools import partial

import torch

from benchmarks.speed import peers
from benchmarks.speed.rounds import prepare, publish, race, random_images
from gauntlet.data.datasets import ImageSet, to_unit
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.training.measurement import build_probe, compiled_probe, measure

# What is asked for, as a multiple of the naive loop's images/s.
WANTED = 3.0


def main() -> None:
    """Race all ways against each other and write what was found."""
    options = prepare(__doc__, images=1_280)
    device = torch.device(options.device)
    pixels, labels = random_images(options.images)
    floats = to_unit(pixels).contiguous()
    model = build_model(Cnn(), (3, 32, 32), 10)
    initialise(model, 0)
    model.to(device)
    images = ImageSet(pixels, labels).to(device)
    ways: dict[str, Callable[[], object]] = {
        f"naive, batches of {size}": peers.naive_evaluation(floats, labels, size, device) for size in (32, 128, 512)
    }
    for precision in ("fp32", "bf16"):
        probe = build_probe(model, Fraction(8, 255), precision)
        ways[f"{precision}, eager"] = partial(measure, model, images, probe)
        if device.type == "cpu":
            ways[f"{precision}, compiled"] = partial(measure, model, images, compiled_probe(probe))
    found = race(ways, images=options.images, rounds=options.rounds, base="naive, batches of 32", clock=options.clock)
    fastest = max(row["images_per_second"] for name, row in found.items() if name.startswith("naive"))
    reached = {
        name: {
            "wanted": WANTED,
            "of_naive_at_32": row["ratio"],
            "of_fastest_naive": round(row["images_per_second"] / fastest, 2),
        }
        for name, row in found.items()
        if not name.startswith("naive")
    }
    publish(options, found, reached)


if __name__ == "__main__":
    main()
