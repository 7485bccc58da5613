"""What a model answers with, before it is known to be logits."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gauntlet.errors import GauntletError, ModelUnfit
from gauntlet.models.memory import is_out_of_memory
from gauntlet.results.finding import Finding, FindingKind

_MATRIX = 2


def answer(model: nn.Module, images: Tensor) -> object:
    """What the model returns for float32 images [n, c, h, w].

    Raises:
        ModelUnfit: it fails, and says why; what is short of memory, or an error of ours, passes.
    """
    try:
        return model(images)
    except GauntletError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        gradient = " that require a gradient" if images.requires_grad else ""
        raise ModelUnfit(
            f"The model fails on float32 images {list(images.shape)} in [0, 1] on {images.device}{gradient}: "
            f"{_first_line(error)}.{_advice(model, images)}"
        ) from error


def malformed(answered: object, images: int, classes: int) -> Finding | None:
    """What is wrong with an answer that should be logits, finite floats [images, classes]."""
    if not isinstance(answered, Tensor):
        return _error(
            "output_form",
            f"The model answers with {_described(answered)}; logits [n, classes] alone are wanted. Wrap it in a module "
            "or a function that returns those.",
        )
    shape, wanted = list(answered.shape), [images, classes]
    if not answered.is_floating_point():
        said = f"The model answers with {str(answered.dtype).removeprefix('torch.')} {shape}"
        return _error("output_form", f"{said}, and not with logits, floats {wanted}.")
    if shape != wanted:
        kind: FindingKind = "class_count" if answered.dim() == _MATRIX and shape[0] == images else "output_form"
        said = f"The model gives an output of shape {shape} for {images} images of {classes} classes"
        return _error(kind, f"{said}; it should be {wanted}.{_mended(shape, wanted)}")
    if not bool(answered.isfinite().all()):
        return _error(
            "non_finite_output",
            "The model's output is not finite: a weight, a variance or the normalisation is out of range.",
        )
    return None


def _error(kind: FindingKind, message: str) -> Finding:
    return Finding(kind=kind, severity="error", message=message)


def _described(answered: object) -> str:
    match answered:
        case Mapping():
            return f"a {type(answered).__name__} of {', '.join(map(repr, answered))}"
        case Sequence() if not isinstance(answered, str):
            return f"a {type(answered).__name__} of {len(answered)}"
        case _:
            return f"a {type(answered).__name__}"


def _mended(shape: list[int], wanted: list[int]) -> str:
    images, classes = wanted
    if shape[:2] == wanted and set(shape[2:]) == {1}:
        return " Its flatten(1) is."
    if shape == [classes] and images == 1:
        return " It drops the batch's axis, which is there for one image too."
    if classes == _MATRIX and shape in ([images], [images, 1]):
        return " Of one logit z [n] of the second class torch.stack([torch.zeros_like(z), z], 1) makes two."
    return ""


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')}" if lines else type(error).__name__


def _advice(model: nn.Module, images: Tensor) -> str:
    tensors = [*model.parameters(), *model.buffers()]
    types = {tensor.dtype for tensor in tensors if tensor.is_floating_point()} - {torch.float32}
    if types:
        names = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in types))
        return f" It holds {names}, and evaluations compute in float32: model.float() makes it so."
    devices = {tensor.device.type for tensor in tensors}
    if devices and images.device.type not in devices:
        return f" It is on {', '.join(sorted(devices))}: model.to({images.device.type!r}) moves it."
    return ""
