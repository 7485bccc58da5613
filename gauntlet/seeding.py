"""Where randomness comes from: a number derived from the run's seed and what it is for.

A draw depends on `(seed, purpose, epoch, batch)` alone and never on how many draws came before it, so a resumed run
sees the same numbers as one that was never stopped.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed for one purpose at one position (epoch, batch, …), independent of every other."""
    path = ":".join([str(seed), purpose, *map(str, position)])
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "big") >> 1


def generator(device: torch.device | str, seed: int, purpose: str, *position: int) -> torch.Generator:
    """A fresh torch generator on `device` at the derived seed."""
    return torch.Generator(device).manual_seed(derive(seed, purpose, *position))


@contextmanager
def torch_seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's global random state, which dropout draws from, set to `seed` inside and restored afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
