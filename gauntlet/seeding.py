"""Where randomness comes from: a number derived from the run's seed and what it is for.

A draw depends on `(seed, purpose, epoch, batch)` alone and never on how many draws came before it, so a resumed run
sees the same numbers as one that was never stopped.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

_NUMPY_SEEDS = 2**32


def derive(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed for one purpose at one position (epoch, batch, …), independent of every other."""
    path = ":".join([str(seed), purpose, *map(str, position)])
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "big") >> 1


def content(data: bytes) -> int:
    """A position for `derive` that is the same for the same bytes, such as an image's, and for no others."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def generator(device: torch.device | str, seed: int, purpose: str, *position: int) -> torch.Generator:
    """A fresh torch generator on `device` at the derived seed."""
    return torch.Generator(device).manual_seed(derive(seed, purpose, *position))


@contextmanager
def torch_seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's global random state, which dropout draws from, set to `seed` inside and restored afterwards."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


@contextmanager
def own_randomness(device: torch.device) -> Iterator[Callable[[int], None]]:
    """All global random states, torch's, Python's and NumPy's, are as they were afterwards.

    Inside, what this yields sets them to a seed.
    """

    def seeded(seed: int) -> None:
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % _NUMPY_SEEDS)  # noqa: NPY002  # what a model draws from that takes NumPy's own

    pythons, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002  # likewise
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield seeded
        finally:
            random.setstate(pythons)
            np.random.set_state(numpys)  # noqa: NPY002  # likewise
