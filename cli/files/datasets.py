"""`gauntlet datasets`: pictures of one's own brought to a service, and what it has."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn

from cli.connection import open_client, refusals_told
from cli.identifiers import DatasetId
from cli.json_output import AsJson, print_json
from cli.shown.dataset_tables import dataset_status, datasets_listing, print_dataset
from cli.shown.listings import print_listing
from cli.terminal import FAILED, INTERRUPTED, errors, give_up, say, tell_id
from gauntlet.checks.sentences import passed_over
from gauntlet.client import GauntletClient
from gauntlet.client.uploads import Archive, Watch, sendable
from gauntlet.resources import DatasetDetails

_LOOK_EVERY_S = 0.5
_OPTIONS = {"/name": "--name", "/notes": "--notes", "/test_fraction": "--test-fraction", "/seed": "--seed"}

app = typer.Typer(no_args_is_help=True, help="Upload, list, show and delete data sets of a service.")


@app.command("list")
def list_datasets(
    *, last: Annotated[int | None, typer.Option(min=1, help="How many at most.")] = None, json: AsJson = False
) -> None:
    """List uploaded data sets, the newest first, and what the service has in its data root."""
    with open_client() as client:
        found = islice(client.datasets(), last)
        if json:
            print_json(found)
        else:
            print_listing(datasets_listing(found))


@app.command()
def show(dataset: DatasetId, *, json: AsJson = False) -> None:
    """Show one: its classes and counts, sizes, what was passed over and why, and how a spec names it."""
    with open_client() as client:
        found = client.dataset(dataset)
    if json:
        print_json(found)
    else:
        print_dataset(found)


@app.command()
def upload(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="PATH", exists=True, help="A folder or archive of train/CLASS/… and test/CLASS/…, or of CLASS/…"
        ),
    ],
    *,
    name: Annotated[str | None, typer.Option(help="What to call it; by default the folder's or file's name.")] = None,
    notes: Annotated[str, typer.Option(help="What is worth knowing of it.")] = "",
    test_fraction: Annotated[
        float | None, typer.Option(help="How much of each class is for test, where there are class folders alone.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Decides which of them; 0.")] = None,
    wait: Annotated[bool, typer.Option(help="Stay until the service has unpacked it.")] = True,
    json: AsJson = False,
) -> None:
    """Upload pictures, print the data set's id, and say what became of them. The same again is the same data set.

    Of a folder the pictures are sent as they are read; a zip or tar is sent as it is.
    """
    with open_client() as client:
        archive = _archive(source)
        with refusals_told(lambda pointer, message: f"{_OPTIONS.get(pointer, source)}: {message}"), _shown() as watch:
            made = client.upload_dataset(
                archive,
                name=name or sendable(source.resolve().name).partition(".")[0] or "pictures",
                notes=notes,
                test_fraction=test_fraction,
                seed=seed,
                watch=watch,
            )
        if not json:
            tell_id(made.id)
        ended = _await_end(client, made.id) if wait else client.dataset(made.id)
    if json:
        print_json(ended)
    elif ended.status != "failed":
        _tell(ended)
    if ended.status == "failed":
        give_up(f"{source}: {ended.status_detail or ended.status_reason}")


@app.command()
def delete(dataset: DatasetId, *, json: AsJson = False) -> None:
    """Delete an uploaded data set that no experiment and no checkpoint needs."""
    with open_client() as client:
        found = client.dataset(dataset)
        client.delete_dataset(dataset)
    if json:
        print_json(found)
    else:
        say(f"{dataset} ({found.name}): deleted")


def _archive(source: Path) -> Path | Archive:
    if not source.is_dir():
        return source
    # Imported here, for it loads numpy: the other commands start without.
    from gauntlet.data.uploads.packing import PackedFolder

    with errors.status("Looking at the folder …"):
        packed = PackedFolder(source)
    skipped = packed.passed_over.skipped
    if not packed.pictures:
        told = f" Passed over: {passed_over(skipped)}." if skipped else ""
        give_up(f"There are no pictures in {source}.{told}", FAILED)
    if skipped:
        say(f"Not sent: {passed_over(skipped)}.", errors)
    return packed


@contextmanager
def _shown() -> Iterator[Watch]:
    """What is told of bytes sent: a bar on a screen, and elsewhere a line when all are."""
    if not errors.is_terminal:
        told = False

        def note(sent: int, total: int) -> None:
            nonlocal told
            if sent >= total and not told:
                told = True
                say(f"{total:,} bytes sent.", errors)

        yield note
        return
    columns = (BarColumn(bar_width=None), TaskProgressColumn(), DownloadColumn())
    with Progress(*columns, console=errors, transient=True, expand=True) as progress:
        task = progress.add_task("upload")
        yield lambda sent, total: progress.update(task, completed=sent, total=total)


def _await_end(client: GauntletClient, identifier: str) -> DatasetDetails:
    """Wait until it is unpacked; the data set then."""
    try:
        with errors.status("The service unpacks it …") as told:
            while True:
                dataset = client.dataset(identifier)
                if dataset.status != "unpacking":
                    return dataset
                told.update(dataset_status(dataset))
                time.sleep(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        say(f"It is unpacked all the same: gauntlet datasets show {identifier} tells how far it is.", errors)
        raise typer.Exit(INTERRUPTED) from None


def _tell(dataset: DatasetDetails) -> None:
    """What became of it, beside its id."""
    if dataset.status == "ready":
        images = f"{dataset.train_images:,} training and {dataset.test_images:,} test images"
        say(f"{dataset.name}: {images} of {dataset.classes:,} classes.", errors)
    if dataset.skipped:
        say(f"Passed over: {passed_over(dataset.skipped)}.", errors, "yellow")
    if dataset.same_as:
        say(f"It has the same pictures as {', '.join(dataset.same_as)}.", errors, "yellow")
