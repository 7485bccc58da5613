"""The blocks for a shell in the documents, and which of them say why nobody runs them."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGES: Final = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "benchmarks").rglob("*.md")),
]
_BLOCK: Final = re.compile(
    r"(?:^<!-- not run: (?P<why>[^\n]+) -->\n+)?^```sh\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """What one types, and `why` a test does not."""

    page: str
    text: str
    why: str | None


def blocks() -> list[Block]:
    """Of all pages, in order."""
    return [
        Block(str(page.relative_to(ROOT)), found["text"], found["why"])
        for page in PAGES
        for found in _BLOCK.finditer(page.read_text())
    ]
