"""Jobs that share a GPU: images/s of so many processes that train beside each other, each a model of its own.

    python -m benchmarks.speed.side_by_side --out benchmarks/results/side_by_side.json

Every process trains the paper's network on FGSM examples at batch 32, as a run does, for `--seconds`; what is counted
is all of their images. Under NVIDIA's Multi-Process Service (start `nvidia-cuda-mps-control -d` first) their kernels
run at the same time; without it the GPU takes turns.
"""

import argparse
import json
import multiprocessing
import os
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from benchmarks.speed.rounds import random_images
from benchmarks.speed.training_step import gauntlet_training


def main() -> None:
    """Measure every number of processes in every precision and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--precisions", nargs="+", default=["fp32", "tf32", "bf16"])
    parser.add_argument("--images", type=int, default=3_200, help="in a pass, of which whole ones are counted")
    parser.add_argument("--compile", default="on", help="how a step is done, as `training.compile` has it")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    rows = measure(options)
    result = {
        "machine": describe_machine(),
        "multi_process_service": served(),
        "seconds": options.seconds,
        "rows": rows,
    }
    print(json.dumps(result))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each precision and number of processes: images/s of all together, and of each."""
    context = multiprocessing.get_context("spawn")
    most = max(options.processes)
    barrier, done = context.Barrier(most), context.Queue()
    plan = [(precision, count) for precision in options.precisions for count in options.processes]
    processes = [context.Process(target=_train, args=(number, options, plan, barrier, done)) for number in range(most)]
    for process in processes:
        process.start()
    rates: dict[tuple[str, int], list[float]] = {place: [] for place in plan}
    for _ in range(sum(count for _, count in plan)):
        place, rate = done.get()
        rates[place].append(rate)
    for process in processes:
        process.join()
    return [
        {
            "precision": precision,
            "processes": count,
            "images_per_second": round(sum(found)),
            "of_each": [round(rate) for rate in sorted(found)],
        }
        for (precision, count), found in rates.items()
    ]


def served() -> bool:
    """Whether a Multi-Process Service listens where this process would look for one."""
    pipes = Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"))  # noqa: S108  # NVIDIA's default
    return (pipes / "control").exists()


def _train(
    number: int,
    options: argparse.Namespace,
    plan: list[tuple[str, int]],
    barrier: Barrier,
    done: "Queue[tuple[tuple[str, int], float]]",
) -> None:
    torch.set_num_threads(1)
    pixels, labels = random_images(options.images)
    device = torch.device(options.device)
    runs = {precision: gauntlet_training(pixels, labels, device, precision, options.compile) for precision, _ in plan}
    for run in runs.values():
        run()
    for precision, count in plan:
        barrier.wait()
        if number < count:
            passes, started = 0, time.perf_counter()
            while (spent := time.perf_counter() - started) < options.seconds:
                runs[precision]()
                passes += 1
            done.put(((precision, count), passes * options.images / spent))


if __name__ == "__main__":
    main()
