"""The claim in four pages, as a PDF: docs/note/note.typ, whose tables are read from the committed records.

python -m benchmarks.pictures.note    # make note; build/note.pdf
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import typst

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "docs/note/note.typ"


def main(arguments: Sequence[str] | None = None) -> None:
    """Build it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build/note.pdf", help="the file to write")
    out: Path = parser.parse_args(arguments).out
    out.parent.mkdir(parents=True, exist_ok=True)
    typst.compile(SOURCE, root=ROOT, output=out)


if __name__ == "__main__":
    main()
