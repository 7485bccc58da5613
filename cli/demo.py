"""`gauntlet demo`: the main job from one command, by the same HTTP requests a user would send."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from cli.embedded import StartFailed, address, free_port
from cli.processes import Child
from cli.tables import classifications_table, print_report
from cli.watching import watch
from client import GauntletClient
from gauntlet.report import Report
from service.settings import ServiceSettings

_READY_WITHIN_S = 90.0
_STOP_WITHIN_S = 40.0
_HELD_OUT = 0
QUICKSTART: Final = {"preset": "quickstart"}


def run_demo(settings: ServiceSettings, console: Console, spec: Mapping[str, Any] = QUICKSTART) -> None:
    """Start the embedded system, compare the objectives of `spec` on the digits, classify a held-out digit, stop.

    Raises:
        StartFailed: the system did not come up.
    """
    settings = settings.model_copy(update={"port": free_port(settings.host, settings.port)})
    with _running(settings, console), GauntletClient(address(settings)) as client:
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
        console.print(f"\nDone in {time.monotonic() - started:.0f} s. Everything lies in {settings.home}:")
        console.print(f"  database     {settings.database_url.removeprefix('sqlite:///')}")
        console.print(f"  checkpoints  {settings.storage}")
        console.print(f"  logs         {settings.home / 'logs'}")
        console.print(
            f"Start the same system with `make up`, then: .venv/bin/gauntlet report {experiment.id}\n", soft_wrap=True
        )


def _classify_a_digit(client: GauntletClient, home: Path, report: Report, console: Console) -> None:
    # Imported here: it loads torch, which the other commands do without.
    from PIL import Image

    from gauntlet.datasets import load_split

    test, classes = load_split(report.spec.dataset, "test", home)
    file = home / "digit.png"
    Image.fromarray(test.images[_HELD_OUT, 0].numpy()).save(file)
    console.print(f"\nThe held-out digit {file} is a [bold]{classes[int(test.labels[_HELD_OUT])]}[/]:")
    names = {row.checkpoint: row.objective for row in report.rows}
    console.print(classifications_table(client.classify([file], list(names)), names))


@contextmanager
def _running(settings: ServiceSettings, console: Console) -> Iterator[None]:
    """`gauntlet up` as a process of its own inside the block, so that its supervision has a main thread."""
    environment = {"GAUNTLET_HOME": str(settings.home), "GAUNTLET_PORT": str(settings.port)}
    log = settings.home / "logs" / "up.log"
    system = Child("system", [sys.executable, "-m", "cli", "up"], log, environment)
    system.start()
    try:
        console.print("Starting broker, API and worker …")
        _await(system, address(settings), log)
        yield
    finally:
        system.stop(_STOP_WITHIN_S)
        console.print("Stopped.")


def _await(system: Child, url: str, log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    with GauntletClient(url) as client:
        while not client.ready():
            if not system.is_running or time.monotonic() > deadline:
                said = log.read_text().strip().rpartition("\n")[2]
                raise StartFailed(f"The system did not come up: {said} (log: {log})")
            time.sleep(0.2)
