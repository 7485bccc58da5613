"""How torch says that there is no memory left, and what becomes of memory that it frees."""

import ctypes

import torch

# What glibc's `mallopt` sets: what is handed back once so much is free at the heap's end, and how many blocks may lie
# outside of the heap, each of which is handed back when it is freed.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
# It is an int.
_NEVER = 2**31 - 1


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is that; on the CPU torch has no class of its own for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


def keep_freed_memory() -> bool:
    """Have this process, and those that it forks, keep memory that is freed for what is computed next.

    By itself glibc hands the activations of a layer back to the system as soon as they are freed, and gets them back
    page by page, each of which the kernel fills with zeros first. A process that computes batch after batch of the same
    size holds no more by keeping them than at its fullest moment anyway.

    Returns:
        Whether the C library knows how: glibc does.
    """
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    return choose is not None and bool(choose(_MMAP_MAX, 0)) and bool(choose(_TRIM_THRESHOLD, _NEVER))
