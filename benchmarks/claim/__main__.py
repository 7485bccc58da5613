"""The paper's Table 1 in the reading that fits it: run, measured and judged as PLAN.md says.

    python -m benchmarks.claim                       # make reproduce: every experiment of the plan, in its order
    python -m benchmarks.claim --only main early     # some of them
    python -m benchmarks.claim --judge               # nothing is run: the records are judged again

After an interruption, however it came about, the same command finds its experiments again and they go on where they
were. Each experiment's record goes into results/, and after each results/verdict.json and verdict.md are made anew.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.asked import carry_out
from benchmarks.claim.judge import judge
from benchmarks.claim.measurements import Measurements
from benchmarks.claim.tables import markdown
from benchmarks.record import code_commit
from benchmarks.systems import gauntlet_at, submitted
from cli.embedded import StartFailed
from gauntlet.client import GauntletClientError

_FOLDER = Path(__file__).parent
_ORDER = ("main", "early", "again", "again-early", "held-out", "batch-64", "batch-256")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, measure and judge."""
    options = _options(arguments)
    console = Console()
    try:
        if not options.judge:
            _run(options, console)
    except (StartFailed, GauntletClientError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        console.print("The same command goes on from here.")
        sys.exit(130)
    _write_verdict(options.out, console)


def _run(options: argparse.Namespace, console: Console) -> None:
    with gauntlet_at(options.url, options.home, console) as client:
        experiments = {name: submitted(client, options.specs / f"{name}.yaml").id for name in options.only}
        carry_out(
            client,
            {name: Measurements(client, identifier) for name, identifier in experiments.items()},
            out=options.out,
            about={"commit": options.commit or code_commit()},
            leave_out=options.leave_out,
            console=console,
            judged=lambda: _write_verdict(options.out, console),
            within=options.within,
        )


def _write_verdict(results: Path, console: Console) -> None:
    verdict = judge(results)
    text = markdown(verdict)
    document = json.dumps(asdict(verdict), indent=1, ensure_ascii=False)
    (results / "verdict.json").write_text(document + "\n", encoding="utf-8")
    (results / "verdict.md").write_text(text, encoding="utf-8")
    console.print(text, markup=False, soft_wrap=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", default=_ORDER, metavar="NAME", help=f"of {', '.join(_ORDER)}")
    parser.add_argument("--judge", action="store_true", help="run nothing: judge the records that are there")
    parser.add_argument(
        "--within", type=float, metavar="SECONDS", help="end after so many, the records written of what there is then"
    )
    parser.add_argument("--specs", type=Path, default=_FOLDER, help="the folder of the YAML files")
    parser.add_argument("--out", type=Path, default=_FOLDER / "results", help="the folder to write into")
    parser.add_argument("--url", help="a Gauntlet that runs; without it one is started")
    parser.add_argument(
        "--home", type=Path, default=Path("var/claim"), help="the data folder of the one that is started"
    )
    parser.add_argument("--commit", help="the commit of the service's code, where it is not this checkout's")
    parser.add_argument("--leave-out", nargs="*", default=["report.html", "report.tex"], metavar="FILE")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
