"""The README's picture of the demo's report, as a terminal shows it.

After `make demo`, and with `make up` in another shell:

    gauntlet report EXPERIMENT --format json >report.json
    python -m benchmarks.pictures.quickstart_picture report.json docs/quickstart.svg
"""

import argparse
import io
from pathlib import Path

from rich.console import Console

from cli.shown.report_tables import print_report
from gauntlet.report.report import Report

_WIDTH = 80


def main() -> None:
    """Draw the report of one file into another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("report", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    print_report(Report.model_validate_json(options.report.read_bytes()), console)
    picture = console.export_svg(title="gauntlet demo", unique_id="quickstart")
    # Rich names a font that lies on another site.
    written = "\n".join(line for line in picture.splitlines() if "cdnjs" not in line)
    options.picture.write_text(written + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
