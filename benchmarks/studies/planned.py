"""A plan carried out by one command: its experiments run, measured and judged.

After an interruption, however it came about, the same command finds the experiments again and they go on where they
were. Each one's record goes into a folder of results, and after each the verdict is made anew.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.studies.asked import Measuring, carry_out
from benchmarks.studies.record import code_commit
from benchmarks.studies.systems import gauntlet_at, submitted
from cli.machine.embedded import StartFailed
from gauntlet.client import GauntletClient, GauntletClientError


@dataclass(frozen=True)
class Judged:
    """A verdict as what JSON can say and as Markdown, and its figures, each an SVG by its file's name."""

    document: Any
    markdown: str
    figures: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What `python -m benchmarks.NAME` carries out, described by `about`.

    `folder` has the YAML files of the experiments `names`, of which those in `unless_told` are run; `judge` makes its
    verdict of a folder of results. Of each record the files `leave_out` are not kept.
    """

    name: str
    about: str
    folder: Path
    names: Sequence[str]
    unless_told: Sequence[str]
    measuring: Callable[[GauntletClient, str], Measuring]
    judge: Callable[[Path], Judged]
    leave_out: Sequence[str] = ("report.html", "report.tex")

    def carry_out(self, arguments: Sequence[str] | None = None) -> None:
        """Run, measure and judge."""
        options = self._options(arguments)
        console = Console()
        try:
            if not options.judge:
                self._run(options, console)
        except (StartFailed, GauntletClientError) as error:
            sys.exit(str(error))
        except KeyboardInterrupt:
            console.print("The same command goes on from here.")
            sys.exit(130)
        self._write_verdict(options.out, console)

    def _run(self, options: argparse.Namespace, console: Console) -> None:
        with gauntlet_at(options.url, options.home, console) as client:
            experiments = {name: submitted(client, options.specs / f"{name}.yaml").id for name in options.only}
            carry_out(
                client,
                {name: self.measuring(client, identifier) for name, identifier in experiments.items()},
                out=options.out,
                about={"commit": options.commit or code_commit()},
                leave_out=options.leave_out,
                console=console,
                judged=lambda: self._write_verdict(options.out, console),
                within=options.within,
            )

    def _write_verdict(self, results: Path, console: Console) -> None:
        judged = self.judge(results)
        said = json.dumps(judged.document, indent=1, ensure_ascii=False)
        for name, written in {"verdict.json": said + "\n", "verdict.md": judged.markdown, **judged.figures}.items():
            (results / name).write_text(written, encoding="utf-8")
        console.print(judged.markdown, markup=False, soft_wrap=True)

    def _options(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        parser = argparse.ArgumentParser(
            prog=f"python -m benchmarks.{self.name}",
            description=self.about,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        named = f"of {', '.join(self.names)}; without it {', '.join(self.unless_told)}"
        parser.add_argument("--only", nargs="+", default=self.unless_told, metavar="NAME", help=named)
        parser.add_argument("--judge", action="store_true", help="run nothing: judge the records that are there")
        parser.add_argument(
            "--within",
            type=float,
            metavar="SECONDS",
            help="end after so many, the records written of what there is then",
        )
        parser.add_argument("--specs", type=Path, default=self.folder, help="the folder of the YAML files")
        parser.add_argument("--out", type=Path, default=self.folder / "results", help="the folder to write into")
        parser.add_argument("--url", help="a Gauntlet that runs; without it one is started")
        home = Path("var") / self.name
        parser.add_argument("--home", type=Path, default=home, help="the data folder of the one that is started")
        parser.add_argument("--commit", help="the commit of the service's code, where it is not this checkout's")
        parser.add_argument("--leave-out", nargs="*", default=self.leave_out, metavar="FILE")
        return parser.parse_args(arguments)
