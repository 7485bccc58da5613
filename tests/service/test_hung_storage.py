"""A data root, or a storage's folder, that never answers: whoever needs it is told so, and nobody else waits."""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import save
from sqlalchemy import update

from gauntlet.data.survey import survey
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.architectures import Cnn
from service import app, data, storage_reads
from service.answering.disks import Bounded
from service.app import create_app
from service.settings import ServiceSettings
from store import dataset_files
from store.database import Database
from store.models import Run
from store.storage import Draft, FolderStorage
from store.subjects import experiments
from tests.e2e.system import await_that
from tests.evaluations import FGSM, untrained
from tests.service.pictures.test_imports import CARD, post
from tests.service.test_datasets import upload
from tests.uploads import packed

# Far longer than all that is asked meanwhile.
_HANGS_S = 90.0
PETS = ImageFolder(folder="pets", image_size=12)


@pytest.fixture
def hangs() -> Iterator[threading.Event]:
    """Set when the disk answers again."""
    answers = threading.Event()
    yield answers
    answers.set()


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Bounded]:
    """The looks that requests make, which are not waited for as long as a user would."""
    found = [Bounded("look at a disk", most=3, patience_s=0.5) for _ in range(2)]
    monkeypatch.setattr(data, "_LOOKS", found[0])
    for module in ("service.storage_reads", "service.pictures.weights", "service.routes.controls"):
        monkeypatch.setattr(f"{module}.LOOKS", found[1])
    monkeypatch.setattr(storage_reads, "_LARGE_S", 0.5)
    return found


@pytest.fixture
def api(settings: ServiceSettings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A service whose only thread would be missed."""
    monkeypatch.setattr(app, "THREADS", 1)
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


def looking() -> int:
    return sum(each.name == "look at a disk" for each in threading.enumerate())


@pytest.mark.parametrize("dataset", [PETS.model_dump(mode="json"), {"name": "cifar10"}])
@pytest.mark.usefixtures("looks")
def test_a_data_root_that_hangs_is_left_to_the_workers(
    api: TestClient,
    settings: ServiceSettings,
    tiny_document: dict[str, Any],
    dataset: dict[str, Any],
    hangs: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever is asked about data there, and however often, takes few threads; digits lie elsewhere."""

    def hang(*asked: Any, **more: Any) -> Any:
        if asked[0].name != "digits":
            hangs.wait(_HANGS_S)
        return survey(*asked, **more)

    (settings.data_root / "pets").mkdir(parents=True)
    monkeypatch.setattr(data, "survey", hang)
    document = tiny_document | {"dataset": dataset}
    for _ in range(3):
        assert api.post("/v1/experiments", json=document).status_code == 202
        drafted = api.post("/v1/experiments/validate", json=document)
        assert (drafted.status_code, drafted.json()["dataset"]) == (200, None)
        assert api.post("/v1/experiments/validate", json=tiny_document).json()["dataset"] is not None
    assert looking() == 3
    hangs.set()
    await_that(lambda: api.post("/v1/experiments/validate", json=document).json()["dataset"] is not None)


def failed_run(database: Database, spec: ExperimentSpec) -> str:
    """One with a saved state; returns its id."""
    with database.writing() as session:
        _, (run,) = experiments.create(session, spec, None)
        failed = {"status": "failed", "resume_path": "state", "resume_sha256": "0" * 64, "resume_bytes": 1}
        session.execute(update(Run).where(Run.id == run).values(failed))
    return run


@pytest.mark.thorough
@pytest.mark.usefixtures("looks")
def test_a_storage_that_hangs_is_told_to_who_needs_it(
    api: TestClient,
    settings: ServiceSettings,
    tiny_spec: ExperimentSpec,
    hangs: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is to be brought from there is a 503; whether weights are there a job finds out."""
    database = Database(settings.database_url)
    checkpoint = untrained(database, settings.storage)
    run = failed_run(database, tiny_spec)
    database.close()
    picture = io.BytesIO()
    Image.new("L", (8, 8)).save(picture, "PNG")

    def classify() -> Any:
        return api.post("/v1/classifications", files={"image": picture.getvalue()}, data={"checkpoint": checkpoint})

    assert classify().status_code == 200
    for name in ("require", "holds", "fetch"):
        real = getattr(FolderStorage, name)

        def hang(*asked: Any, real: Any = real) -> Any:
            hangs.wait(_HANGS_S)
            return real(*asked)

        monkeypatch.setattr(FolderStorage, name, hang)
    asked = {"checkpoint": checkpoint, "attacks": [FGSM]}
    # Nothing more is known of weights then.
    for number in range(3):
        assert api.post("/v1/evaluations", json=asked | {"samples": 2 + number}).status_code == 202
    for _ in range(9):
        needing = (api.get(f"/v1/checkpoints/{checkpoint}/weights"), api.post(f"/v1/runs/{run}/retry"), classify())
        told = [(answer.status_code, answer.json()["type"].rpartition(":")[2]) for answer in needing]
        assert told == [(503, "storage-away")] * 3
        assert api.get("/v1/experiments").status_code == 200
    assert looking() == 3
    hangs.set()
    await_that(lambda: api.get(f"/v1/checkpoints/{checkpoint}/weights").status_code == 200)
    await_that(lambda: classify().status_code == 200)
    assert api.post(f"/v1/runs/{run}/retry").status_code == 202


def test_small_pictures_that_hang_are_few(
    settings: ServiceSettings, hangs: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where whoever asked has left."""
    monkeypatch.setattr(dataset_files, "thumbnail", lambda *_: hangs.wait(_HANGS_S))

    async def ask() -> int:
        reads = storage_reads.StorageReads(settings)
        for _ in range(20):
            with pytest.raises((TimeoutError, OSError)):
                async with asyncio.timeout(0.01):
                    await reads.thumbnail("dset_a", 0)
        return sum(each.name == "small picture" for each in threading.enumerate())

    assert asyncio.run(ask()) == 8


def send_archive(api: TestClient, folder: Path, number: int) -> Any:
    below = folder / str(number)
    below.mkdir()
    return upload(api, packed(below))


def send_model(api: TestClient, _folder: Path, _number: int) -> Any:
    model = build_model(Cnn(), (1, 16, 16), 10)
    initialise(model, 0)
    return post(api, save({name: tensor.contiguous() for name, tensor in model.state_dict().items()}), CARD)


SENT: dict[str, Callable[[TestClient, Path, int], Any]] = {"archive": send_archive, "model": send_model}


def hanging(monkeypatch: pytest.MonkeyPatch, kind: type, step: str, answers: threading.Event) -> threading.Semaphore:
    """Let that step hang; what is released each time that it begins to."""
    real, begun = getattr(kind, step), threading.Semaphore(0)

    def hang(*asked: Any) -> Any:
        begun.release()
        answers.wait(_HANGS_S)
        return real(*asked)

    monkeypatch.setattr(kind, step, hang)
    return begun


@pytest.mark.parametrize("step", ["__init__", "write", "close"])
def test_an_upload_that_hangs_holds_up_no_other_request(
    api: TestClient, tmp_path: Path, hangs: threading.Event, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Wherever it does: it goes on when the storage answers."""
    begun = hanging(monkeypatch, Draft, step, hangs)
    with ThreadPoolExecutor(1) as apart:
        sending = apart.submit(send_archive, api, tmp_path, 0)
        assert begun.acquire(timeout=_HANGS_S)
        for path in ("/healthz", "/v1/experiments", "/v1/datasets"):
            assert api.get(path).status_code == 200
        assert not sending.done()
        hangs.set()
        assert sending.result(60).status_code == 202


@pytest.mark.parametrize(
    ("sent", "places", "kind", "step"),
    [
        ("archive", 2, FolderStorage, "keep"),
        ("model", 1, Draft, "__init__"),
        ("model", 1, FolderStorage, "keep"),
    ],
)
def test_what_hangs_as_it_is_stored_keeps_its_place(
    api: TestClient,
    tmp_path: Path,
    hangs: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
    sent: str,
    places: int,
    kind: type,
    step: str,
) -> None:
    """Whoever comes then is told why, and when to come again; all else is answered, and they when the storage is."""
    send, begun = SENT[sent], hanging(monkeypatch, kind, step, hangs)
    with ThreadPoolExecutor(places) as apart:
        sending = [apart.submit(send, api, tmp_path, number) for number in range(places)]
        assert all(begun.acquire(timeout=_HANGS_S) for _ in sending)
        for path in ("/healthz", "/v1/experiments", "/v1/datasets", "/v1/checkpoints"):
            assert api.get(path).status_code == 200
        refused = send(api, tmp_path, places)
        assert (refused.status_code, int(refused.headers["Retry-After"]) > 0) == (429, True)
        assert "for a storage that does not answer; try again in" in refused.json()["detail"]
        assert not any(each.done() for each in sending)
        hangs.set()
        assert all(each.result(60).status_code in {200, 201, 202} for each in sending)
    assert send(api, tmp_path, places + 1).status_code in {200, 201, 202}


def test_what_is_written_is_waited_for_where_the_client_leaves(
    settings: ServiceSettings, hangs: threading.Event
) -> None:
    """So nothing that it writes to is closed meanwhile, and no other write takes its place."""
    ended = []

    def work() -> None:
        hangs.wait(_HANGS_S)
        ended.append("work")

    async def leave() -> None:
        reads = storage_reads.StorageReads(settings)
        writing = [asyncio.ensure_future(reads.write(work)) for _ in range(storage_reads.WRITERS + 1)]
        await asyncio.sleep(0.2)
        for each in writing:
            each.cancel()
        # The last had not begun.
        done, _ = await asyncio.wait(writing, timeout=0.2)
        assert done == {writing[-1]}
        assert sum(each.name == "write to the storage" for each in threading.enumerate()) == storage_reads.WRITERS
        hangs.set()
        assert all(
            isinstance(each, asyncio.CancelledError) for each in await asyncio.gather(*writing, return_exceptions=True)
        )

    asyncio.run(leave())
    assert ended == ["work"] * storage_reads.WRITERS
