"""A Gauntlet to run an experiment on, and its experiment, found again after an interruption."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from cli.machine.background import running
from gauntlet.client import GauntletClient
from gauntlet.resources import Experiment
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.reading.files import read_file
from service.settings import ServiceSettings


@contextmanager
def gauntlet_at(url: str | None, home: Path | None, console: Console) -> Iterator[GauntletClient]:
    """A client of the Gauntlet at `url`, or, without one, of one on the data folder `home` for as long as the block."""
    if url:
        with GauntletClient(url) as client:
            yield client
    else:
        # Images are where any other Gauntlet started here has them, not in this one's data folder.
        settings = ServiceSettings(home=home or ServiceSettings().home, data_root=ServiceSettings().data_root)
        with running(settings, console) as client:
            yield client


def submitted(client: GauntletClient, spec_file: Path) -> Experiment:
    """The experiment of that YAML file, submitted now or at an earlier start."""
    spec = ExperimentSpec.model_validate(read_file(spec_file, ExperimentSpec).fields)
    digest = hashlib.sha256(spec.model_dump_json().encode()).hexdigest()
    return client.submit(spec, idempotency_key=f"reproduce-{digest[:32]}")
