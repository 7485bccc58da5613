"""Whether calling a module does more than its class says."""

from torch import nn
from torch.nn.modules.module import _has_any_global_hook

# What is in a module's own dictionary if something was done to it.
_MARKS = (
    "forward",
    "_forward_pre_hooks",
    "_forward_hooks",
    "_backward_pre_hooks",
    "_backward_hooks",
    "_compiled_call_impl",
)


def is_hooked(module: nn.Module) -> bool:
    """Whether it has a hook or a forward of its own, is compiled, or all modules have a hook.

    Pruning and the older weight and spectral norms hook a module. Parametrisations change its class, which is the
    caller's to look at.
    """
    marks = vars(module)
    return any(marks.get(mark) for mark in _MARKS) or _has_any_global_hook()
