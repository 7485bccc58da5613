"""Making a training step faster without changing what it computes: compiled on a CPU, a CUDA graph on a GPU."""

import os
import shutil
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any, assert_never

import torch
from torch import Tensor

from gauntlet.cuda_graph import CapturedStep
from gauntlet.datasets import Dataset
from gauntlet.errors import CompilerMissing
from gauntlet.spec import TrainingSpec
from gauntlet.step import Step, StepParts

# Compiling takes 10 to 30 s of one core and saves 15 to 40 ms of a step on 32 images of 32 × 32 pixels, so it is
# repaid after about a thousand such steps; counted in pixels, so that small images need more steps.
_REPAYING_PIXELS = 1_500 * 32 * 32 * 32


def compiles(spec: TrainingSpec, data: Dataset, device: torch.device) -> bool:
    """Whether a run's steps are to be compiled, as `training.compile` and the machine say.

    Raises:
        CompilerMissing: it is asked for and cannot be done.
    """
    match spec.compile:
        case "off":
            return False
        case "on":
            if not compiler_present(device):
                raise CompilerMissing
            return True
        case "auto":
            _, height, width = data.image_shape
            pixels = spec.epochs * len(data.train) * height * width
            return compiler_present(device) and (device.type == "cuda" or pixels >= _REPAYING_PIXELS)
        case _:
            assert_never(spec.compile)


def compiler_present(device: torch.device) -> bool:
    """Whether a step can be compiled for `device` on this machine."""
    if device.type == "cuda":
        return True
    # What torch's compiler for CPUs calls, and the header that its code includes.
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    return compiler is not None and (Path(sysconfig.get_path("include")) / "Python.h").exists()


def accelerate(step: StepParts, example: tuple[Tensor, Tensor, Tensor], changed: Iterable[Tensor]) -> Step:
    """The same step, faster, for tensors of the shapes of `example` only.

    `changed` are the tensors that a step changes: on a GPU it is tried out before it is captured, and they are put
    back afterwards. The compilation itself happens at the first call.
    """
    if example[0].is_cuda:
        return CapturedStep(step, example, changed)
    # Every run compiles for itself: otherwise torch counts them all as variants of one function and stops at eight.
    alone: dict[str, Any] = {"dynamic": False, "isolate_recompiles": True}
    # Random numbers come from torch's own generator as without compiling, so that both draw the same.
    options: dict[str, Any] = {"fallback_random": True}
    gradients = torch.compile(step.gradients, fullgraph=True, options=options, **alone)
    update = torch.compile(step.update, **alone)
    compiled = StepParts(gradients, update, step.parameters)

    # torch.autograd.grad may stand inside what is compiled; and never a silent return to the uncompiled step, whose
    # results differ in their last bits.
    settings = {"trace_autograd_ops": True, "fail_on_recompile_limit_hit": True}

    def run(images: Tensor, labels: Tensor, noise: Tensor) -> None:
        with torch._dynamo.config.patch(settings):  # noqa: SLF001  # torch documents it under this name
            compiled(images, labels, noise)

    return run
