"""How often processes were ended, where and at what, and how much of it came out as undisturbed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from tests.faults.work import SEEDS


@dataclass
class Tally:
    """What happened on one database."""

    kills: dict[int, Counter[str]] = field(default_factory=lambda: {seed: Counter() for seed in SEEDS})
    experiments: int = 0
    same: int = 0
    datasets: int = 0
    helped: int = 0

    @classmethod
    def of(cls, shown: Mapping[str, Any] | None) -> Self:
        """What an earlier turn has shown, to be gone on with."""
        if shown is None:
            return cls()
        places = shown["by_place_and_seed"].items()
        kills = {
            seed: Counter({place: counts[number] for place, counts in places}) for number, seed in enumerate(SEEDS)
        }
        counts = (shown["experiments"], shown["equal_to_undisturbed"], shown["datasets"])
        # Older files have none.
        return cls(kills, *counts, shown.get("helped_evaluations", 0))

    def all(self) -> int:
        """How often processes were ended."""
        return sum(sum(counts.values()) for counts in self.kills.values())

    def untried(self, seed: int, places: Iterable[str]) -> list[str]:
        """Those of the places where no process of this seed was ended yet."""
        return [place for place in places if not self.kills[seed][place]]

    def shown(self) -> dict[str, Any]:
        return {
            "kills": self.all(),
            "experiments": self.experiments,
            "equal_to_undisturbed": self.same,
            "datasets": self.datasets,
            "helped_evaluations": self.helped,
            "by_place_and_seed": {
                place: [self.kills[seed][place] for seed in SEEDS]
                for place in sorted({place for counts in self.kills.values() for place in counts})
            },
        }
