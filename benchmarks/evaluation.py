"""The speed of measuring natural and FGSM test accuracy, ours beside a loop as most people write it.

python -m benchmarks.evaluation --out benchmarks/results/evaluation.json
"""

import argparse
import json
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch

from benchmarks import peers
from benchmarks.machine import describe_machine
from benchmarks.rounds import race, table
from gauntlet.architectures import build_model, initialise
from gauntlet.datasets import ImageSet, to_unit
from gauntlet.evaluation import build_probe, compiled_probe, measure
from gauntlet.kinds import Cnn

# What is asked for, as a multiple of the naive loop's images/s.
WANTED = 3.0


def main() -> None:
    """Race all ways against each other and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--images", type=int, default=1_280)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (options.images, 3, 32, 32), dtype=torch.uint8, generator=generator)
    labels = torch.randint(10, (options.images,), generator=generator)
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
    found = race(ways, images=options.images, rounds=options.rounds, base="naive, batches of 32")
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
    result = {
        "machine": describe_machine(),
        "device": options.device,
        "threads": options.threads,
        "images": options.images,
        "rounds": options.rounds,
        "rows": found,
        "wanted": reached,
    }
    print(table(found))  # noqa: T201  # the benchmark's answer
    print(json.dumps(reached, indent=1))  # noqa: T201
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
