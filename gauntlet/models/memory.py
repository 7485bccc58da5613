"""How torch says that there is no memory left."""

import torch


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is that; on the CPU torch has no class of its own for it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
