"""A spec at full scale, through the product: submit it to a Gauntlet, wait, and keep what the service says.

    python -m benchmarks.studies.reproduce                                   # the paper with sampled actions
    python -m benchmarks.studies.reproduce --url URL --experiment ID --now   # results so far of one that is under way

Starts the embedded system on a data folder of its own, unless --url names one that runs. The spec is submitted once:
after an interruption, however it came about, the same command finds the experiment again and it goes on where it was.
What is written is listed in benchmarks/studies/record.py.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.studies.record import code_commit, sizes, write_record
from benchmarks.studies.systems import gauntlet_at, submitted
from cli.jobs.watching import watch
from cli.machine.embedded import StartFailed
from gauntlet.client import GauntletClientError

_FOLDER = Path(__file__).parents[1] / "reproduction"
# Training takes hours of every core; looking should take nothing of it.
_LOOK_EVERY_S = 2.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Submit or find the experiment, wait for it unless told not to, and write its record."""
    options = _options(arguments)
    console = Console()
    try:
        with gauntlet_at(options.url, options.home, console) as client:
            experiment = (
                client.experiment(options.experiment) if options.experiment else submitted(client, options.spec)
            )
            console.print(f"{experiment.name} is {experiment.id} at {client.url}", soft_wrap=True)
            if not options.now:
                experiment = watch(client, experiment.id, console, look_every_s=_LOOK_EVERY_S)
            about: dict[str, object] = {"commit": options.commit or code_commit()}
            about |= sizes(options.home) if options.home else {}
            write_record(client, experiment.id, options.out, about, options.leave_out)
    except (StartFailed, GauntletClientError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        console.print("The same command goes on from here.")
        sys.exit(130)
    console.print(f"{experiment.name} is {experiment.status}. Written: {options.out}", soft_wrap=True)
    if not options.now and experiment.status != "succeeded":
        sys.exit(1)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spec", type=Path, default=_FOLDER / "spec.yaml", help="a YAML file")
    parser.add_argument("--out", type=Path, default=_FOLDER / "results" / "cpu", help="the folder to write into")
    parser.add_argument("--url", help="a Gauntlet that runs; without it one is started")
    parser.add_argument("--experiment", help="an experiment that was submitted already, instead of the spec")
    parser.add_argument("--now", action="store_true", help="do not wait: write what there is")
    parser.add_argument(
        "--leave-out", nargs="*", default=[], metavar="FILE", help="renderings not to keep: report.html …"
    )
    parser.add_argument("--commit", help="the commit of the service's code, where it is not this checkout's")
    parser.add_argument(
        "--home",
        type=Path,
        help="the data folder of the system that is started (default: var/reproduction), or, to state its size, of the "
        "one that runs at --url",
    )
    options = parser.parse_args(arguments)
    if options.home is None and options.url is None:
        options.home = Path("var/reproduction")
    return options


if __name__ == "__main__":
    main()
