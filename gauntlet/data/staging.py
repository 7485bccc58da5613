"""Images read from the disk while those before them are worked on."""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

# Two such chunks are in memory: the one that is worked on and the one that is read.
_CHUNK_BYTES = 64 << 20


def staged(pixels: Tensor, positions: Tensor, size: int, device: torch.device) -> Iterator[Tensor]:
    """`pixels` (uint8 [n, c, h, w], on the CPU, maybe mapped from disk) at `positions` (int64 [m], on the CPU).

    Yields uint8 [size, c, h, w] on `device`, the last one smaller, as indexing gives them. A thread reads the next
    chunk meanwhile; for a GPU into pinned memory, from which it is copied in the stream's turn, so that nothing waits
    for the device.
    """
    at_once = max(1, _CHUNK_BYTES // (size * max(1, math.prod(pixels.shape[1:])))) * size
    first, *others = positions.split(at_once)
    with ThreadPoolExecutor(1, "staging") as reader:
        ahead = reader.submit(_read, pixels, first, device)
        for following in (*others, None):
            chunk = ahead.result()
            if following is not None:
                ahead = reader.submit(_read, pixels, following, device)
            yield from chunk.to(device, non_blocking=True).split(size)


def _read(pixels: Tensor, positions: Tensor, device: torch.device) -> Tensor:
    shape = (len(positions), *pixels.shape[1:])
    chunk = torch.empty(shape, dtype=torch.uint8, pin_memory=device.type == "cuda")
    return torch.index_select(pixels, 0, positions, out=chunk)
