"""Making training faster without changing what it computes: compiled on a CPU, a CUDA graph on a GPU."""

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar, assert_never

import torch
from torch import Tensor

from gauntlet.checks import machine
from gauntlet.data.datasets import Dataset
from gauntlet.errors import CompilerMissing
from gauntlet.spec.runs.training import TrainingSpec
from gauntlet.training.steps.cuda_graph import CapturedStep
from gauntlet.training.steps.step import Step, StepParts

P = ParamSpec("P")
T = TypeVar("T")

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
    return device.type == "cuda" or machine.compiler_present()


def accelerate(step: StepParts, example: tuple[Tensor, Tensor, Tensor], changed: Iterable[Tensor]) -> Step:
    """The same step, faster, for tensors of the shapes of `example` only.

    `changed` are the tensors that a step changes: on a GPU it is tried out before it is captured, and they are put
    back afterwards. On a CPU it is compiled at its first call.
    """
    if example[0].is_cuda:
        return CapturedStep(step, example, changed)
    return StepParts(compiled(step.gradients), compiled(step.update, whole=False), step.parameters)


def compiled(function: Callable[P, T], *, whole: bool = True) -> Callable[P, T]:
    """The function compiled for a CPU at its first call, for the shapes of that call; `whole` in one piece, or raises.

    Random numbers come from torch's own generator as without compiling, so that both draw the same.
    """
    # Every one for itself: otherwise torch counts all of one source as its variants and stops at eight.
    options: dict[str, Any] = {"isolate_recompiles": True, "options": {"fallback_random": True}}
    fast: Callable[P, T] = torch.compile(function, fullgraph=whole, dynamic=False, **options)
    # torch.autograd.grad may stand inside what is compiled; and never a silent return to the uncompiled function,
    # whose results differ in their last bits.
    settings = {"trace_autograd_ops": True, "fail_on_recompile_limit_hit": True}

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        with torch._dynamo.config.patch(settings):  # noqa: SLF001  # torch documents it under this name
            return fast(*args, **kwargs)

    return run
