"""`gauntlet check`: a spec held against its data and the checkpoints it names, without a service."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from cli.documents import read_spec
from cli.json_output import AsJson, print_json
from cli.terminal import FAILED, errors, give_up, say
from gauntlet.checks.machine import UNKNOWN, this_machine
from gauntlet.checks.requests import Cards, experiment_faults, named_checkpoints, remarks
from gauntlet.checks.sentences import describe
from gauntlet.resources import Check, ProblemError
from gauntlet.settings import SettingsInvalid
from gauntlet.spec.asked.requests import ExperimentRequest
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Uploaded
from gauntlet.spec.reading.files import SpecFile
from gauntlet.spec.reading.messages import faults
from store.settings import StoreSettings


def check(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help="A YAML or JSON file, or the name of a preset.")],
    *,
    data_root: Annotated[
        Path | None,
        typer.Option(help="Where image folders lie; by default GAUNTLET_DATA_ROOT, or data in GAUNTLET_HOME."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Look at a spec, every picture of its data and its checkpoints. Needs no service; exit status 1 at a fault."""
    file = read_spec(spec)
    try:
        settings = StoreSettings.from_environment()
    except SettingsInvalid as error:
        give_up(str(error))
    with errors.status("Reading the data …"):
        found = _look(file.fields, settings, data_root)
    if json:
        print_json(found)
    else:
        for line in lines_of(found, file):
            say(line)
    if found.faults:
        raise typer.Exit(FAILED)


def _look(fields: dict[str, Any], settings: StoreSettings, data_root: Path | None) -> Check:
    try:
        asked = ExperimentRequest.model_validate(fields).spec()
        # So that a sweep's values are looked at, too.
        asked.planned()
    except ValidationError as error:
        told = [
            ProblemError(pointer=each.pointer, message=each.message)
            for each in faults(error.errors(), ExperimentRequest)
        ]
        return Check(faults=tuple(told))
    # Imported here, for it loads torch, which takes seconds, and most faults of a spec are told without.
    from gauntlet.data.datasets import describe_dataset

    uploaded = isinstance(asked.dataset, Uploaded)
    root = data_root if data_root and not uploaded else settings.root_of(asked.dataset)
    dataset = describe_dataset(asked.dataset, root)
    cards = _cards(asked, settings)
    machine = this_machine() if settings.one_machine else UNKNOWN
    return Check(
        faults=tuple(
            ProblemError(pointer=each.pointer, message=each.message)
            for each in experiment_faults(asked, dataset, cards, machine)
        ),
        remarks=tuple(remarks(asked, dataset, cards)),
        dataset=dataset,
    )


def _cards(asked: ExperimentSpec, settings: StoreSettings) -> Cards:
    """What the checkpoints that a spec names say of themselves; none of them where the database is not there."""
    # Imported here, as in up: the commands that only talk to a service start without SQLAlchemy.
    from sqlalchemy.exc import SQLAlchemyError

    from store.database import Database
    from store.subjects import checkpoints

    named = named_checkpoints(asked)
    if not named or (settings.one_machine and not Path(settings.database_url.removeprefix("sqlite:///")).is_file()):
        return {}
    database = Database(settings.database_url)
    try:
        with database.reading() as session:
            return checkpoints.cards(session, named)
    except SQLAlchemyError:
        return {}
    finally:
        database.close()


def lines_of(found: Check, file: SpecFile, within: str = "") -> Iterator[str]:
    """What was found, a line each; a fault with its line in the file, which is the request's field `within`."""
    for fault in found.faults:
        yield file.tell(fault.pointer.removeprefix(within), fault.message)
    if found.dataset is not None:
        yield from describe(found.dataset)
    yield from found.remarks
    if not found.faults:
        yield "Nothing is wrong with it."
