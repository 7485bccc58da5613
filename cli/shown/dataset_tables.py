"""How data sets are listed and shown."""

from collections.abc import Iterable, Iterator

from rich.text import Text

from cli.shown.listings import Cell, Column, Listing, print_card, print_listing
from cli.shown.tables import at_time, status_of
from cli.terminal import say, visible
from gauntlet.checks.names import counted
from gauntlet.checks.sentences import describe, passed_over
from gauntlet.report.numbers import NOTHING
from gauntlet.resources import Dataset, DatasetDetails

_STYLES = {"ready": "green", "unpacking": "cyan", "failed": "red"}
_MOST_CLASSES = 100


def datasets_listing(datasets: Iterable[Dataset]) -> Listing:
    """One row per data set."""
    return Listing(
        [
            Column("data set", "id"),
            Column("name"),
            Column("status"),
            *(Column(heading, "number") for heading in ("classes", "train", "test")),
            Column("uploaded"),
        ],
        [
            [
                dataset.id,
                dataset.name,
                dataset_status(dataset),
                *(_number(count) for count in (dataset.classes, dataset.train_images, dataset.test_images)),
                at_time(dataset.created_at) if dataset.created_at else NOTHING,
            ]
            for dataset in datasets
        ],
    )


def dataset_status(dataset: Dataset) -> Text:
    """How it stands, and how far it is."""
    progress = dataset.progress
    if dataset.status == "unpacking" and progress is not None:
        far = f"{progress.completed:,} of {progress.total:,}" if progress.total else f"{progress.completed:,}"
        return Text(visible(f"{progress.phase}, {far} {progress.unit}"), _STYLES["unpacking"])
    told = status_of(dataset.status, dataset.status_reason)
    return Text(told.plain, _STYLES[dataset.status])


def print_dataset(dataset: DatasetDetails) -> None:
    """All that is known of it."""
    print_card(dataset.id, list(_fields(dataset)))
    if dataset.status_detail:
        say(f"! {dataset.status_detail}", style="red" if dataset.status == "failed" else "yellow")
    found = dataset.description
    if found is None:
        return
    names = list(dict.fromkeys(name for split in (found.train, found.test) if split for name in split.names))
    counts = [
        {each.name: each.images for each in split.classes} if split else {} for split in (found.train, found.test)
    ]
    rows: list[list[Cell]] = [[name, *(_number(split.get(name)) for split in counts)] for name in names[:_MOST_CLASSES]]
    print_listing(Listing([Column("class"), Column("train", "number"), Column("test", "number")], rows))
    if len(names) > _MOST_CLASSES:
        say(f"… and {counted(len(names) - _MOST_CLASSES, 'more class', 'more classes')}; --json has all.")
    # The first sentence has the same numbers.
    for sentence in describe(found)[1:]:
        say(sentence)


def _fields(dataset: DatasetDetails) -> Iterator[tuple[Column, Cell | None]]:
    yield Column("name"), dataset.name
    yield Column("owner"), dataset.owner
    yield Column("status"), dataset_status(dataset)
    yield Column("uploaded"), at_time(dataset.created_at) if dataset.created_at else None
    yield Column("notes"), dataset.notes.replace("\n", " ")
    if dataset.split is not None:
        yield Column("test images"), f"{100 * dataset.split.test_fraction:g} % of each class, seed {dataset.split.seed}"
    if dataset.sizes is not None:
        small, large, common = dataset.sizes.smallest, dataset.sizes.largest, dataset.sizes.commonest
        commonest = f"{common[0]} × {common[1]} is the commonest ({counted(dataset.sizes.commonest_images, 'image')})"
        yield Column("sizes"), f"{small[0]} × {small[1]} to {large[0]} × {large[1]} pixels; {commonest}"
    yield Column("passed over"), passed_over(dataset.skipped)
    yield Column("files"), None if dataset.bytes is None else counted(dataset.bytes, "byte")
    yield Column("sha256", "id"), dataset.sha256
    yield Column("same as", "id"), ", ".join(dataset.same_as)
    yield Column("in a spec"), f"dataset: {_in_a_spec(dataset)}"


def _in_a_spec(dataset: Dataset) -> str:
    spec = dataset.spec
    match spec.name:
        case "uploaded":
            return f"{{name: uploaded, id: {spec.id}, image_size: {spec.image_size}}}"
        case "image_folder" | "parquet":
            return f"{{name: {spec.name}, folder: {spec.folder}, image_size: {spec.image_size}}}"
        case _:
            return f"{{name: {spec.name}}}"


def _number(count: int | None) -> str:
    return NOTHING if count is None else f"{count:,}"
