"""API and workers that have nothing in common but a database, a broker and a bucket."""

import hashlib
import signal
from pathlib import Path
from typing import Any

import pytest

from gauntlet.client import GauntletClient
from tests.e2e.system import System, await_that
from tests.e2e.test_faults import finish, only_run, result
from tests.faults.arming import order
from tests.object_store import ObjectStore
from tests.packing import two_splits
from tests.uploads import packed

pytestmark = [pytest.mark.long(seconds=40), pytest.mark.timeout(600), pytest.mark.thorough]

# Many requests to a server on a machine that others use.
PATIENCE_S = 240.0
# A state with every batch is a request with every batch.
SELDOM = {"GAUNTLET_STATE_EVERY_S": "0.5"}


def test_the_main_job_needs_no_shared_folder(
    object_store: ObjectStore,
    tmp_path: Path,
    sqlite_url: str,
    broker_url: str,
    tiny_document: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An upload is trained on; a worker that dies in mid-run is replaced by one with another home, bit by bit.

    Then weights are downloaded and classify, and nothing but what rows name is in the bucket.
    """
    bucket = object_store.bucket("main-job")
    monkeypatch.setenv("GAUNTLET_STORAGE_URL", "s3://main-job/team")
    homes = {name: tmp_path / name for name in ("api", "first", "second")}
    for home in homes.values():
        home.mkdir()
    with System(homes["api"], sqlite_url, broker_url) as system:
        client = system.client
        # A run's process ends with the first checkpoint's epoch, whose state is stored, and the worker as it takes the
        # run up again.
        orders = tmp_path / "orders"
        order(orders, "epoch_recorded", 4)
        order(orders, "claimed", 2)
        victim = system.start("worker", orders=orders, GAUNTLET_HOME=str(homes["first"]), **SELDOM)
        pets = _uploaded(client, tmp_path)
        document = tiny_document | {
            "dataset": {"name": "uploaded", "id": pets, "image_size": 16},
            "training": {"epochs": 8, "checkpoint_every": 4},
            "evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 8, "keep_images": 4},
        }
        killed = client.submit(document).id
        assert victim.wait(PATIENCE_S) == -signal.SIGKILL
        system.expire_leases()
        system.start("worker", GAUNTLET_HOME=str(homes["second"]), **SELDOM)
        finish(client, killed, PATIENCE_S)
        system.forget_measurements()
        undisturbed = client.submit(document).id
        finish(client, undisturbed, PATIENCE_S)
        run = only_run(client, killed)
        (resumed,) = [event.message for event in client.events(run.id) if event.kind == "resumed"]
        assert resumed.endswith(" continues after epoch 4.")
        assert run.attempt == 3
        assert result(client, killed) == result(client, undisturbed)

        (checkpoint, *_) = client.checkpoints(only_run(client, killed).id)
        assert hashlib.sha256(client.weights(checkpoint.id)).hexdigest() == checkpoint.sha256
        (seen,) = client.classify([_picture(tmp_path)], [checkpoint.id])
        assert {entry.label for entry in seen.probabilities} == {"cat", "dog"}
        assert client.report(killed).complete
        assert client.dataset_thumbnail(pets, 0).startswith(b"\x89PNG")

        stored = {str(path.relative_to(bucket)) for path in bucket.rglob("*.safetensors")}
        assert not (homes["api"] / "checkpoints").exists()
        await_that(lambda: not list(bucket.rglob("*.state.safetensors")) and not list(bucket.rglob("part-*")))
        assert len([name for name in stored if ".state." not in name]) == 4


def _uploaded(client: GauntletClient, folder: Path) -> str:
    archive = folder / "pets.tar"
    archive.write_bytes(packed(folder, two_splits(train=48, test=4)))
    identifier = client.upload_dataset(archive, name="pets").id
    await_that(lambda: client.dataset(identifier).status == "ready")
    return identifier


def _picture(folder: Path) -> Path:
    picture = folder / "picture.png"
    picture.write_bytes(two_splits()["test/cat/0.png"])
    return picture
