"""Iterates that repeat: where every step follows from the point alone, what comes after a repeated one is known.

PGD with steps along signs falls into cycles of a few points, and stands still where there is no gradient (arXiv
2503.19347 stops it there).
"""

import torch
from torch import Tensor


class Cycles:
    """How many steps of an iteration remain to be taken of each image, once its points are found to repeat.

    A point whose hash was there before is remembered, and held against the one a period later bit for bit: only where
    these are the same is it a cycle. The remaining steps are then taken modulo its period, so that the last point, and
    the order of those before it, are the whole run's.
    """

    def __init__(self, start: Tensor, steps: int) -> None:
        """Begin at points float32 [n, c, h, w], from which so many steps are to be taken."""
        n, device = len(start), start.device
        self._steps, self._taken = steps, 0
        self._factors = torch.randint(
            -(2**62), 2**62, start[0].shape, generator=torch.Generator().manual_seed(0), dtype=torch.int64
        ).to(device)
        self._hashes = torch.zeros(n, steps + 1, dtype=torch.int64, device=device)
        self._hashes[:, 0] = self._hash(start)
        self._remembered = start.clone()
        self._periods = torch.zeros(n, dtype=torch.int64, device=device)
        self._due = torch.zeros(n, dtype=torch.int64, device=device)
        self.remaining = torch.full((n,), steps, dtype=torch.int64, device=device)

    def step(self, points: Tensor) -> None:
        """Take note of the points [n, c, h, w] after another step."""
        self._taken += 1
        self.remaining -= 1
        self._confirm(points)
        hashes = self._hash(points)
        seen = self._hashes[:, : self._taken] == hashes[:, None]
        self._hashes[:, self._taken] = hashes
        suspected = seen.any(dim=1) & (self._periods == 0)
        if bool(suspected.any()):
            # The nearest of those that were alike.
            since = 1 + seen.flip(1).int().argmax(dim=1)
            self._periods = torch.where(suspected, since, self._periods)
            self._due = torch.where(suspected, self._taken + since, self._due)
            self._remembered[suspected] = points[suspected]

    def take(self, images: Tensor) -> None:
        """Go on with these images alone, bool [n]."""
        for name in ("_hashes", "_remembered", "_periods", "_due", "remaining"):
            setattr(self, name, getattr(self, name)[images])

    def _confirm(self, points: Tensor) -> None:
        due = (self._periods > 0) & (self._due == self._taken)
        if bool(due.any()):
            same = due & (points.view(torch.int32) == self._remembered.view(torch.int32)).flatten(1).all(dim=1)
            self.remaining = torch.where(same, self.remaining % self._periods.clamp_min(1), self.remaining)
            # A cycle is found once; of what only seemed to be one the search goes on.
            self._periods = torch.where(due & ~same, torch.zeros_like(self._periods), self._periods)

    def _hash(self, points: Tensor) -> Tensor:
        return (points.contiguous().view(torch.int32).long() * self._factors).flatten(1).sum(dim=1)
