"""Which checkpoints of an experiment stay once it has ended. No torch."""

from typing import Annotated

from pydantic import Field

from gauntlet.spec.kinds import Spec


class Keep(Spec):
    """The checkpoints of each run that stay; what was evaluated, or something else stands on, stays anyway."""

    every: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="Those of epochs that are multiples of this."
    )
    best: Annotated[int, Field(ge=0, le=10_000)] = Field(
        default=1, description="So many with the highest accuracy under FGSM, by which `best_fgsm` goes too."
    )
    last: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=1, description="So many of the last; the very last stays always."
    )

    def chosen(self, epochs: dict[int, float]) -> set[int]:
        """The epochs that stay, of those given with their accuracy under FGSM; of equal ones the earlier is better."""
        order = sorted(epochs)
        best = sorted(order, key=lambda epoch: -epochs[epoch])[: self.best]
        multiples = [epoch for epoch in order if self.every and epoch % self.every == 0]
        return {*order[-self.last :], *best, *multiples}
