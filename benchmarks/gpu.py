"""All that is to be measured on a GPU that is lent for minutes, in one program.

    python -m benchmarks.gpu --data-root DATA --out build/gpu.json --seconds 840
    python -m benchmarks.gpu --rehearse --out build/rehearsal.json      # all of it, tiny, on a CPU

First what is most wanted: runs together by Triton's kernels and by torch's, and the tests that want a GPU; then other
speeds, then the replication of the paper's claim (benchmarks/claim) for as long as there is time. Each finding is
written when it is there; the same command goes on after an interruption and measures again what failed. DATA holds
CIFAR-10 as the image folder `cifar10`.

A speed is that of the loop itself: all that a run draws and gathers between its steps is in it, an epoch's end is not.
All are of noise of CIFAR-10's size, half of the runs by cross-entropy and half by a reward. Where Triton's kernels gave
way to torch's, `warned` says why.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from benchmarks.findings import Findings
from benchmarks.machine import describe_machine
from benchmarks.speed.peers import Recipe, naive_training, plain_cnn, rmsprop
from benchmarks.speed.rounds import random_images
from benchmarks.speed.together import Scale, spec_of, together
from benchmarks.speed.training_step import gauntlet_training
from gauntlet.data.datasets import Dataset, ImageSet, load_dataset, to_unit
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import CheckpointReady
from gauntlet.models.architectures import build_model
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.kinship import Kernels
from gauntlet.training.fused.together import train_together

_ROOT = Path(__file__).parents[1]
_TESTS = ["tests/gauntlet/training/test_gpu.py", "tests/worker/processes/test_gpu_memory.py"]
_REHEARSED = """
name: the claim, rehearsed
dataset: {name: digits, train_samples: 96}
objectives: [{kind: cross_entropy}, {kind: policy_gradient, action: argmax, baseline: batch_mean}]
adversary: {kind: fgsm, eps: 8/255}
training: {epochs: 2, checkpoint_every: 2, batch_size: 32}
seeds: [0, 1]
evaluation: {attacks: [{kind: fgsm, eps: 8/255}], samples: 16, batch_size: 16}
"""


def main() -> None:
    """Measure what there is time for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rehearse", action="store_true", help="all of it, tiny, on a CPU")
    parser.add_argument("--data-root", type=Path, help="where the image folder `cifar10` lies; not for a rehearsal")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=840)
    options = parser.parse_args()
    if not options.rehearse and options.data_root is None:
        parser.error("--data-root is needed, but for a rehearsal.")

    scale = Scale.of_a_rehearsal() if options.rehearse else Scale(torch.device("cuda"))
    findings = Findings(options.out, options.seconds, resume=True)
    torch.set_num_threads(1 if options.rehearse else torch.get_num_threads())
    findings.add("machine", describe_machine)
    _both_ways(findings, scale)
    findings.add("tests", partial(_tests, limit_s=150), needs=60)
    _speeds(findings, scale)
    _attacks(findings, scale, options.data_root)
    _claim(findings, options)


def _tests(limit_s: float) -> str:
    """How they ended, in pytest's own words."""
    told = _ran([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *_TESTS], dict(os.environ), limit_s)
    return told.strip().splitlines()[-1]


def _ran(command: list[str], environment: Mapping[str, str], limit_s: float) -> str:
    """What a program of ours says, which ends with all that it started.

    Raises:
        RuntimeError: it failed, or took longer than that.
    """
    program = subprocess.Popen(  # noqa: S603  # our own command
        command, cwd=_ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    with program:
        try:
            told, _ = program.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            told = f"{program.communicate()[0]}\nIt took longer than {limit_s:.0f} s."
        finally:
            # A Ctrl-C reaches this process alone, as the program is the first of a session of its own.
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
    if program.returncode:
        raise RuntimeError(told[-1_500:])
    return told


def _both_ways(findings: Findings, scale: Scale) -> None:
    ways: tuple[Kernels, ...] = ("triton", "torch")
    for runs, batch in scale.both_ways:
        for kernels in ways:
            name = f"{runs} runs of {batch}, {scale.precisions[0]}, {kernels}"
            findings.add(name, partial(together, scale, runs, batch, scale.precisions[0], kernels), needs=15)


def _speeds(findings: Findings, scale: Scale) -> None:
    first_precision = scale.precisions[0]
    for batch in scale.batches:
        for runs in scale.runs:
            name = f"{runs} runs of {batch}, {first_precision}"
            findings.add(name, partial(together, scale, runs, batch, first_precision), needs=15)
        findings.add(f"naive loop, {batch}", partial(_naive, scale, batch), needs=15)
        findings.add(f"one run as a worker trains it, {batch}", partial(_one, scale, batch), needs=15)
    for served in (False, True):
        name = "jobs beside each other" + (", MPS" if served else "")
        findings.add(name, partial(_beside, scale, served=served), needs=60)
    most, batch = scale.both_ways[0]
    for precision in scale.precisions[1:]:
        for kernels in ("triton", "torch"):
            measure = partial(together, scale, most, batch, precision, kernels)
            findings.add(f"{most} runs of {batch}, {precision}, {kernels}", measure, needs=15)
        measure = partial(together, scale, 1, batch, precision)
        findings.add(f"1 runs of {batch}, {precision}", measure, needs=15)


def _timed(one_pass: Any, images: int) -> int:
    """Images/s of the second pass."""
    one_pass()
    started = time.perf_counter()
    one_pass()
    return round(images / (time.perf_counter() - started))


def _naive(scale: Scale, batch: int) -> int:
    pixels, labels = random_images(min(scale.images, 100 * batch))
    one_pass = naive_training(Recipe(plain_cnn, rmsprop), pixels.float().div(255), labels, batch, scale.device)
    return _timed(one_pass, len(labels))


def _one(scale: Scale, batch: int) -> int:
    pixels, labels = random_images(min(scale.images, 1_000 * batch))
    training = spec_of(0, batch, scale.precisions[0], scale).training.model_dump(mode="json")
    return _timed(gauntlet_training(pixels, labels, scale.device, training=training), len(labels))


def _beside(scale: Scale, *, served: bool) -> Any:
    """Jobs that share the GPU, each a run of its own, as `benchmarks.speed.side_by_side` measures them."""
    out = Path("build/side_by_side.json")
    precisions = scale.precisions[:1]
    command = [sys.executable, "-m", "benchmarks.speed.side_by_side", "--device", scale.device.type, "--out", str(out)]
    command += ["--processes", *map(str, scale.jobs), "--precisions", *precisions]
    command += ["--seconds", "2", "--compile", scale.compile, "--images", str(min(3_200, scale.images))]
    with _multi_process_service(start=served and scale.device.type == "cuda") as environment:
        _ran(command, environment, 120)
    return json.loads(out.read_text())["rows"]


@contextmanager
def _multi_process_service(*, start: bool) -> Iterator[dict[str, str]]:
    environment = dict(os.environ)
    if not start:
        yield environment
        return
    pipes = Path("build/mps").resolve()
    pipes.mkdir(parents=True, exist_ok=True)
    environment |= {"CUDA_MPS_PIPE_DIRECTORY": str(pipes), "CUDA_MPS_LOG_DIRECTORY": str(pipes)}
    subprocess.run(["nvidia-cuda-mps-control", "-d"], env=environment, check=True, timeout=20)  # noqa: S607  # wherever the driver has it
    try:
        yield environment
    finally:
        subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, env=environment, timeout=30, check=False)  # noqa: S607  # as above


def _attacks(findings: Findings, scale: Scale, data_root: Path | None) -> None:
    """AutoAttack on the whole test set by us, and by its package on the first of it, of one network."""
    needs = 120 if scale.device.type == "cuda" else 1
    trained: dict[str, Any] = {}

    def weights() -> tuple[Dataset, Mapping[str, Tensor]]:
        if not trained:
            trained["data"] = _data(scale, data_root)
            trained["weights"] = _trained(scale, trained["data"])
        return trained["data"], trained["weights"]

    findings.add("autoattack by the package", lambda: _by_package(scale, *weights()), needs=needs)
    findings.add("autoattack", lambda: _by_us(scale, *weights()), needs=needs)


def _data(scale: Scale, data_root: Path | None) -> Dataset:
    if data_root is not None:
        return load_dataset(ImageFolder(folder="cifar10"), data_root)
    pixels, labels = random_images(scale.images)
    images = ImageSet(pixels, labels)
    return Dataset(images, images, tuple("abcdefghij"))


def _trained(scale: Scale, data: Dataset) -> Mapping[str, Tensor]:
    spec = spec_of(0, scale.batches[-1], scale.precisions[0], scale)
    training = spec.training.model_copy(update={"epochs": scale.epochs, "checkpoint_every": scale.epochs})
    events = train_together([spec.model_copy(update={"training": training})], data, device=scale.device)
    return [event.state.model for _, event in events if isinstance(event, CheckpointReady)][-1]


def _model(scale: Scale, data: Dataset, weights: Mapping[str, Tensor]) -> nn.Module:
    model = build_model(spec_of(0, 32, "fp32", scale).architecture, data.image_shape, len(data.classes))
    model.load_state_dict(dict(weights))
    return model.to(scale.device).eval()


def _by_us(scale: Scale, data: Dataset, weights: Mapping[str, Tensor]) -> dict[str, float]:
    spec = EvaluationSpec.model_validate(
        {
            "attacks": [{"kind": "autoattack", "eps": "8/255"}],
            "samples": scale.attacked,
            "batch_size": scale.attack_batch,
            "masking": None,
        }
    )
    model, images, started = _model(scale, data, weights), data.test.take(scale.attacked), time.perf_counter()
    found = evaluate(model, images, spec, len(data.classes), device=scale.device)
    withstand: set[int] = set()
    for batch in found:
        right = {image for image, held in zip(batch.images, batch.robust, strict=True) if held}
        # Of an ensemble's parts each is tried on what the ones before it left.
        withstand = withstand | right if batch.stage == "natural" else withstand - (set(batch.images) - right)
    return {"seconds": round(time.perf_counter() - started, 1), "images": len(images), "robust": len(withstand)}


def _by_package(scale: Scale, data: Dataset, weights: Mapping[str, Tensor]) -> dict[str, float]:
    model, images = _model(scale, data, weights), data.test.take(scale.attacked_by_package).to(scale.device)
    package = AutoAttack(model, norm="Linf", eps=8 / 255, version="standard", seed=0, device=scale.device)
    started = time.perf_counter()
    natural = to_unit(images.images).contiguous()
    _, predicted = package.run_standard_evaluation(natural, images.labels, batch_size=scale.attack_batch)
    seconds = time.perf_counter() - started
    return {"seconds": round(seconds, 1), "images": len(images), "robust": int((predicted == images.labels).sum())}


def _claim(findings: Findings, options: argparse.Namespace) -> None:
    """The claim's replication, through the service, until the time is spent; a later start goes on with it."""
    out = options.out.with_suffix("")
    within = 60.0 if options.rehearse else max(60.0, findings.left - 20)
    command = [sys.executable, "-m", "benchmarks.claim", "--within", str(within), "--home", str(out / "home")]
    environment = dict(os.environ)
    if options.rehearse:
        out.mkdir(parents=True, exist_ok=True)
        (out / "again.yaml").write_text(_REHEARSED)
        command += ["--specs", str(out)]
        environment |= {"GAUNTLET_DEVICE": "cpu", "GAUNTLET_FUSED_RUNS": "8", "GAUNTLET_WORKER_SLOTS": "1"}
    else:
        environment |= {"GAUNTLET_DEVICE": "cuda", "GAUNTLET_DATA_ROOT": str(options.data_root)}
    command += ["--only", "again", "--out", str(out / "records")]

    def run() -> list[str]:
        # It writes its records itself.
        told = _ran(command, environment, within + 120)
        return [line for line in told.splitlines() if line.startswith("again, ")][-3:]

    findings.add("claim", run, needs=60)


if __name__ == "__main__":
    main()
