"""Ways to train many runs of the paper's network as one program on a GPU: whether they are right, and how fast.

    python -m benchmarks.speed.fused_layers --out build/fused_layers.json --seconds 40

Each way is compared with the runs computed one by one, captured in a CUDA graph, and timed by the GPU's own clock. What
is found is written as it is found, the most wanted first; what does not work or has no time left is written too.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.findings import Findings
from benchmarks.machine import describe_machine
from benchmarks.speed.fused_candidates import Grouped, GroupedLast, Mapped, Unfolded
from gauntlet.models.architectures import paper_cnn

_CLASSES = 10


def main() -> None:
    """Measure every way and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--side", type=int, default=32, help="of an image, in pixels")
    parser.add_argument("--runs", type=int, nargs="+", default=[24, 1, 6])
    parser.add_argument("--batches", type=int, nargs="+", default=[32, 128])
    options = parser.parse_args()

    bench = Bench(torch.device(options.device), options.side)
    most, first = options.runs[0], options.batches[0]
    record = Findings(options.out, options.seconds)
    record.add("machine", bench.describe)
    record.add("today, one run", partial(bench.today, first))
    for name in ("unfolded", "grouped", "grouped, channels last"):
        record.add(f"{name}, fp32: errors", partial(bench.errors, name, 3, first, torch.float32))
        record.add(f"{name}, bf16: errors", partial(bench.errors, name, 3, first, torch.bfloat16))
        record.add(f"{name}, bf16, {most} runs of {first}", partial(bench.speed, name, most, first))
    record.add("triton, bf16: errors", partial(bench.errors, "triton", 3, first, torch.bfloat16))
    record.add(f"triton, bf16: kernels, {most} runs of {first}", partial(bench.kernels, most, first))
    for runs in options.runs:
        record.add(f"triton, bf16, {runs} runs of {first}", partial(bench.speed, "triton", runs, first))
    for batch in options.batches[1:]:
        record.add(f"triton, bf16, {most} runs of {batch}", partial(bench.speed, "triton", most, batch))
        record.add(f"triton, bf16, 1 run of {batch}", partial(bench.speed, "triton", 1, batch))
    record.add(f"triton, bf16: profile, {most} runs of {first}", partial(bench.profile_of, "triton", most, first))
    record.add("triton, bf16: profile, 1 run", partial(bench.profile_of, "triton", 1, first))
    record.add("unfolded, bf16: profile", partial(bench.profile_of, "unfolded", most, first))
    for batch in options.batches[1:]:
        record.add(f"today, one run of {batch}", partial(bench.today, batch))
        record.add(f"unfolded, bf16, {most} runs of {batch}", partial(bench.speed, "unfolded", most, batch))
    record.add(f"triton, bf16: kernels, 1 run of {first}", partial(bench.kernels, 1, first))
    record.add("mapped, bf16: errors", partial(bench.errors, "mapped", 3, first, torch.bfloat16))
    record.add(f"mapped, bf16, {most} runs of {first}", partial(bench.speed, "mapped", most, first), needs=1)
    record.add("triton, tf32: errors", partial(bench.errors, "triton", 3, first, torch.float32), needs=3)
    record.add(f"triton, tf32, {most} runs of {first}", partial(bench.speed, "triton", most, first, torch.float32))
    for runs in options.runs[1:]:
        for name in ("unfolded", "grouped"):
            record.add(f"{name}, bf16, {runs} runs of {first}", partial(bench.speed, name, runs, first))


class Bench:
    """The measurements."""

    def __init__(self, device: torch.device, side: int) -> None:
        self.device, self.side = device, side
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False

    def describe(self) -> dict[str, Any]:
        return {"gpu": describe_machine()["gpu"], "torch": torch.__version__}

    def inputs(self, runs: int, batch: int) -> tuple[Tensor, Tensor, list[nn.Module], list[Tensor]]:
        """Images, labels, networks without dropout and their weights stacked; always the same."""
        torch.manual_seed(0)
        images = torch.rand(runs, batch, 3, self.side, self.side, device=self.device)
        labels = torch.randint(_CLASSES, (runs, batch), device=self.device)
        models = [self._network(dropout=False) for _ in range(runs)]
        stacked = [torch.stack(found).detach() for found in zip(*(m.parameters() for m in models), strict=True)]
        return images, labels, models, stacked

    def _network(self, *, dropout: bool) -> nn.Module:
        return paper_cnn((3, self.side, self.side), _CLASSES, dropout=dropout).to(self.device)

    def program(self, name: str, weights: list[Tensor], dtype: torch.dtype) -> Any:
        match name:
            case "grouped":
                return Grouped(weights, dtype)
            case "grouped, channels last":
                return GroupedLast(weights, dtype)
            case "unfolded":
                return Unfolded(weights, dtype)
            case "mapped":
                models = self._network(dropout=True), self._network(dropout=False)
                return Mapped(weights, dtype, models)
            case _:
                from benchmarks.speed.fused_triton import ByTriton

                return ByTriton(weights, dtype)

    def errors(self, name: str, runs: int, batch: int, dtype: torch.dtype) -> dict[str, Any]:
        """Relative errors against fp32 one by one, the largest of all runs; and those of one by one in this type."""
        images, labels, models, weights = self.inputs(runs, batch)
        exact = [one_by_one(m, x, y, torch.float32) for m, x, y in zip(models, images, labels, strict=True)]
        single = [one_by_one(m, x, y, dtype) for m, x, y in zip(models, images, labels, strict=True)]
        logits, by_images, by_weights = self.program(name, weights, dtype).check(images, labels)
        fused = [(logits[r], by_images[r], [w[r] for w in by_weights]) for r in range(runs)]
        return {"fused": worst(fused, exact), "one by one": worst(single, exact)}

    def speed(self, name: str, runs: int, batch: int, dtype: torch.dtype = torch.bfloat16) -> dict[str, Any]:
        """A whole step's time and the images/s of all runs together."""
        images, labels, _, weights = self.inputs(runs, batch)
        program = self.program(name, weights, dtype)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == torch.float32
        seconds = self.timed(lambda: program.step(images, labels))
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        return {"us": round(seconds * 1e6, 1), "images_per_second": round(runs * batch / seconds)}

    def kernels(self, runs: int, batch: int) -> dict[str, Any]:
        """Microseconds of every kernel of the convolutions, those of weights' gradients in several tiles."""
        from benchmarks.speed.fused_triton import operations

        found: dict[str, Any] = {}
        for name, launch in operations(runs, batch, self.side, self.device):
            try:
                found[name] = round(self.timed(launch, inner=10) * 1e6, 1)
            except Exception as error:  # noqa: BLE001  # a tile that does not work is a finding
                found[name] = f"{type(error).__name__}: {str(error)[:300]}"
        return found

    def today(self, batch: int) -> dict[str, Any]:
        """A run's step as it is: images/s, and which kernels take how long."""
        from gauntlet.spec.experiment import RunSpec
        from gauntlet.training.steps.cuda_graph import CapturedStep
        from gauntlet.training.steps.optimizers import build_optimizer
        from gauntlet.training.steps.step import build_step
        from gauntlet.training.steps.tally import empty_tally

        spec = RunSpec.model_validate(
            {
                "dataset": {"name": "cifar10"},
                "architecture": {"kind": "cnn"},
                "objective": {"kind": "cross_entropy"},
                "adversary": {"kind": "fgsm", "eps": "8/255"},
                "training": {"batch_size": batch, "precision": "bf16"},
                "evaluation": {},
                "seed": 0,
            }
        )
        model = self._network(dropout=True).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch has no type for it
        optimizer = build_optimizer(spec.training.optimizer, model)
        step = build_step(spec, model, optimizer, empty_tally(self.device))
        images, labels, _, _ = self.inputs(1, batch)
        pixels = (images[0] * 255).to(torch.uint8)
        inputs = pixels, labels[0], torch.rand(2, 1, batch, _CLASSES + 1, device=self.device)
        if self.device.type == "cpu":
            return {"us": self.timed(lambda: step(*inputs)) * 1e6}
        captured = CapturedStep(step, inputs, [])
        seconds = clocked(lambda: captured(*inputs), 20)
        return {
            "us": round(seconds * 1e6, 1),
            "images_per_second": round(batch / seconds),
            "kernels": profiled(lambda: captured(*inputs)),
        }

    def profile_of(self, name: str, runs: int, batch: int) -> Any:
        """Which kernels of a whole step take how long."""
        images, labels, _, weights = self.inputs(runs, batch)
        program = self.program(name, weights, torch.bfloat16)
        graph = captured_in_graph(lambda: program.step(images, labels), 1)
        return profiled(graph.replay)

    def timed(self, run: Callable[[], object], inner: int = 1) -> float:
        """Seconds of one of the runs, `inner` of which are captured in one graph."""
        if self.device.type == "cpu":
            started = time.perf_counter()
            run()
            return time.perf_counter() - started
        graph = captured_in_graph(run, inner)
        return clocked(graph.replay, 10 if inner == 1 else 2) / inner


def one_by_one(
    model: nn.Module, images: Tensor, labels: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Logits, the images' gradient of the summed loss, the weights' of the mean."""
    images = images.detach().requires_grad_()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
        logits = model(images)
    losses = F.cross_entropy(logits.float(), labels, reduction="none")
    (by_images,) = torch.autograd.grad(losses.sum(), images, retain_graph=True)
    return logits.detach().float(), by_images, list(torch.autograd.grad(losses.mean(), list(model.parameters())))


def worst(found: list[Any], exact: list[Any]) -> dict[str, float]:
    """The largest relative errors of logits, images' gradient and all weights' gradients."""

    def error(a: Tensor, b: Tensor) -> float:
        return float((a - b).norm() / b.norm())

    pairs = list(zip(found, exact, strict=True))
    return {
        "logits": max(error(a[0], b[0]) for a, b in pairs),
        "by_images": max(error(a[1], b[1]) for a, b in pairs),
        "by_weights": max(error(v, w) for a, b in pairs for v, w in zip(a[2], b[2], strict=True)),
    }


def captured_in_graph(run: Callable[[], object], inner: int) -> torch.cuda.CUDAGraph:
    """So many runs as one graph, after two trials."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(2):
            run()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(inner):
            run()
    return graph


def clocked(run: Callable[[], object], times: int) -> float:
    """Seconds of one, the median of five measurements of so many, or fewer where it is slow."""
    found: list[float] = []
    run()
    torch.cuda.synchronize()
    before = time.perf_counter()
    run()
    torch.cuda.synchronize()
    times = max(1, min(times, int(0.05 / (time.perf_counter() - before))))
    for _ in range(5):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        for _ in range(times):
            run()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / times / 1e3)
    return statistics.median(found)


def profiled(run: Callable[[], object]) -> dict[str, Any]:
    """The 25 kernels that take longest: name, times launched, microseconds together."""
    activities = [torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        run()
        torch.cuda.synchronize()
    rows = [row for row in profile.key_averages() if row.self_device_time_total > 0]
    rows.sort(key=lambda row: -row.self_device_time_total)
    return {
        "count": sum(row.count for row in rows),
        "us": round(sum(row.self_device_time_total for row in rows), 1),
        "top": [[row.key[:110], row.count, round(row.self_device_time_total, 1)] for row in rows[:25]],
    }


if __name__ == "__main__":
    main()
