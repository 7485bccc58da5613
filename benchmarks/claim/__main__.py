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
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from benchmarks.claim.judge import judge
from benchmarks.claim.measurements import Measurements
from benchmarks.claim.tables import markdown
from benchmarks.record import code_commit, write_record
from benchmarks.systems import gauntlet_at, submitted
from cli.embedded import StartFailed
from gauntlet.client import GauntletClientError
from gauntlet.resources import TERMINAL

_FOLDER = Path(__file__).parent
_ORDER = ("main", "early", "again", "again-early", "held-out", "batch-64", "batch-256")
# Training takes hours of every core; looking should take nothing of it.
_LOOK_EVERY_S = 10.0
# What is known so far, should the machine be taken away.
_RECORD_EVERY_S = 120.0


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
        under_way = {name: Measurements(client, identifier) for name, identifier in experiments.items()}
        about = {"commit": options.commit or code_commit()}
        started = recorded_at = time.monotonic()
        while under_way:
            ended = {name for name, measurements in under_way.items() if _has_ended(name, measurements, console)}
            over = options.within is not None and time.monotonic() - started >= options.within
            due = over or time.monotonic() - recorded_at > _RECORD_EVERY_S
            for name in under_way if due else ended:
                write_record(client, experiments[name], options.out / name, about, options.leave_out)
            if due or ended:
                _write_verdict(options.out, console)
                recorded_at = time.monotonic()
            if over:
                break
            under_way = {name: measurements for name, measurements in under_way.items() if name not in ended}
            time.sleep(_LOOK_EVERY_S if under_way else 0)


def _has_ended(name: str, measurements: Measurements, console: Console) -> bool:
    """Ask for what can be measured by now, and say how far all of it is."""
    experiment = measurements.ask()
    evaluations = measurements.look()
    ended = [one for one in evaluations if one.status in TERMINAL]
    progress = experiment.progress
    console.print(
        f"{name}, {experiment.id}: {experiment.status}, {progress.completed} of {progress.total} {progress.unit}, "
        f"{len(ended)} of {len(evaluations)} measurements",
        soft_wrap=True,
    )
    for one in ended:
        if one.status != "succeeded":
            console.print(f"Evaluation {one.id} {one.status}: {one.status_reason}.", soft_wrap=True)
    return experiment.status in TERMINAL and len(ended) == len(evaluations)


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
