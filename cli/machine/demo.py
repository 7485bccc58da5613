"""`gauntlet demo`: the main job from one command, by the same HTTP requests a user would send."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from cli.jobs.watching import watch
from cli.machine.background import running
from cli.machine.embedded import StartFailed
from cli.shown.listings import print_listing
from cli.shown.report_tables import print_report
from cli.shown.tables import classifications_listing
from cli.terminal import say
from gauntlet.client import GauntletClient
from gauntlet.report.report import Report
from gauntlet.spec.runs.objective_labels import objective_title
from service.settings import ServiceSettings
from store.texts import masked

_HELD_OUT = 0
QUICKSTART: Final = {"preset": "quickstart"}


def run_demo(settings: ServiceSettings, console: Console, spec: Mapping[str, Any] = QUICKSTART) -> Report:
    """Start the embedded system, compare the objectives of `spec` on the digits, classify a held-out digit, stop.

    Returns the comparison's report.

    Raises:
        StartFailed: the system did not come up.
    """
    with running(settings, console) as client:
        started = time.monotonic()
        experiment = client.submit(spec)
        console.print(f"\nSubmitted [bold]{experiment.name}[/] as {experiment.id}\n")
        experiment = watch(client, experiment.id, console)
        if experiment.status != "succeeded":
            raise StartFailed(f"The experiment {experiment.status} ({experiment.status_reason}).")
        report = client.report(experiment.id)
        console.print()
        print_report(report, console)
        _classify_a_digit(client, settings.home, report, console)
        say(f"\nDone in {time.monotonic() - started:.0f} s. Everything lies in {settings.home}:", console)
        say(f"  database     {masked(settings.database_url).removeprefix('sqlite:///')}", console)
        say(f"  checkpoints  {settings.storage}", console)
        say(f"  logs         {settings.home / 'logs'}", console)
        console.print(
            f"Start the same system with `make up`, then: .venv/bin/gauntlet report {experiment.id}\n", soft_wrap=True
        )
    return report


def _classify_a_digit(client: GauntletClient, home: Path, report: Report, console: Console) -> None:
    # Imported here: it loads torch, which the other commands do without.
    from PIL import Image

    from gauntlet.data.datasets import load_split

    test, classes = load_split(report.spec.dataset, "test", home)
    file = home / "digit.png"
    Image.fromarray(test.images[_HELD_OUT, 0].numpy()).save(file)
    say(f"\nThe held-out digit {file} is a {classes[int(test.labels[_HELD_OUT])]}:", console)
    names = {row.checkpoint: objective_title(row.objective) for row in report.rows}
    print_listing(classifications_listing(client.classify([file], list(names)), names), console)
