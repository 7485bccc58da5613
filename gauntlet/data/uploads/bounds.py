"""How much an archive may hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Of what an archive unpacks to: bytes, also in proportion to its own, and files and folders.

    An archive may always unpack to `free_bytes`: pictures of one colour compress a thousandfold.
    """

    most_bytes: int = 16 << 30
    most_ratio: int = 100
    free_bytes: int = 256 << 20
    most_entries: int = 300_000
    most_depth: int = 16
    longest_path: int = 1_000

    def bytes_for(self, archive_bytes: int) -> int:
        """How many bytes an archive of that size may unpack to."""
        return min(self.most_bytes, max(self.free_bytes, self.most_ratio * archive_bytes))
