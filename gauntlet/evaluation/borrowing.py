"""Models that belong to the caller, used for a while."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from gauntlet.attacks.gradient import mode


@contextmanager
def borrowed(*models: nn.Module) -> Iterator[None]:
    """Inside, the models are in eval mode and their parameters need no gradient; afterwards all is as it was.

    Nor does it matter what the caller is in: a block without gradients, in inference mode or under autocast. An attack
    that asks for a gradient gets it, and computes in fp32.
    """
    learning = [parameter for model in models for parameter in model.parameters() if _learns(parameter)]
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.no_grad())
        for device in ("cpu", "cuda"):
            stack.enter_context(torch.autocast(device, enabled=False))
        for model in models:
            stack.enter_context(mode(model, training=False))
        try:
            for parameter in learning:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in learning:
                parameter.requires_grad_(True)


def _learns(parameter: nn.Parameter) -> bool:
    """Whether it wants a gradient and may be told otherwise; not if it was made in inference mode or is still to be."""
    return parameter.requires_grad and not is_lazy(parameter) and not parameter.is_inference()
