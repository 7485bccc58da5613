"""Requests held against the images that lie below the API's data root, before anything is queued."""

import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from gauntlet.checks.machine import this_machine
from gauntlet.models.architectures import build_model
from gauntlet.models.checkpoints import encode_weights
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.architectures import Cnn
from service import data
from service.app import create_app
from service.settings import ServiceSettings
from store.database import Database
from store.storage import StoredFile
from store.subjects import checkpoints

PETS = ImageFolder(folder="pets", image_size=10)
FGSM = {"kind": "fgsm", "eps": "8/255"}


@pytest.fixture
def pets(settings: ServiceSettings) -> Path:
    """Two images of each of two classes to train on, one for test."""
    root = settings.data_root / "pets"
    for label in ("cat", "dog"):
        for path in ("train/{}/0.png", "train/{}/1.png", "test/{}/0.png"):
            file = root / path.format(label)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (10, 10)).save(file)
    return root


@pytest.fixture
def document(tiny_document: dict[str, Any]) -> dict[str, Any]:
    return tiny_document | {"dataset": PETS.model_dump(mode="json")}


def refused(answer: Any) -> list[tuple[str, str]]:
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:gauntlet:problem:invalid-request"), answer.text
    return [(error["pointer"], error["message"]) for error in answer.json()["errors"]]


def imported(settings: ServiceSettings, *classes: str) -> str:
    """The row of a checkpoint for the folder `pets`."""
    card = CheckpointCard(
        architecture=Cnn(), dataset=PETS, classes=classes, image_shape=PETS.image_shape, origin=Imported(name="x")
    )
    identifier = f"ckpt_{''.join(classes)}"
    database = Database(settings.database_url)
    with database.writing() as session:
        checkpoints.add_imported(session, identifier, card, StoredFile("path", "0" * 64, 1))
    database.close()
    return identifier


def test_all_that_is_wrong_with_an_experiment_is_told_at_once(
    api: TestClient, settings: ServiceSettings, pets: Path, document: dict[str, Any]
) -> None:
    """Folder, counts, classes, precision and checkpoints, each at its field; nothing is queued."""
    assert api.post("/v1/experiments", json=document).status_code == 202
    (pets / "train/cow").mkdir()
    document["dataset"] |= {"train_samples": 5}
    document["training"] |= {"precision": "tf32", "initial_checkpoint": imported(settings, "cat", "rat", "cow")}
    document["evaluation"]["attacks"].append({"kind": "autoattack", "eps": "8/255"})
    told = refused(api.post("/v1/experiments", json=document))
    expected = {
        "/dataset/folder": "no picture of the class cow in pets/train",
        "/dataset/train_samples": "there are 4 training images",
        "/evaluation/attacks/1": "at least 4 classes, and here are 3",
        "/training/initial_checkpoint": "only the initial checkpoint has rat; only the data set has dog",
    }
    if this_machine().gpu is False:
        expected["/training/precision"] = "needs a GPU"
    assert {place for place, _ in told} == expected.keys()
    assert all(any(place == at and sentence in message for at, message in told) for place, sentence in expected.items())
    assert len(api.get("/v1/experiments").json()["data"]) == 1


def test_a_folder_that_is_not_there_is_told_without_a_path(
    api: TestClient, settings: ServiceSettings, pets: Path, document: dict[str, Any]
) -> None:
    """What is there instead is; where the server keeps it is nobody's business."""
    document["dataset"]["folder"] = "pest"
    (told,) = refused(api.post("/v1/experiments", json=document))
    assert told == ("/dataset/folder", "There is no folder pest among the data sets; did you mean pets?")
    shutil.rmtree(pets / "test")
    document["dataset"]["folder"] = "pets"
    ((_, message),) = refused(api.post("/v1/experiments", json=document))
    assert message == "There is no folder test in pets; there is train."
    assert str(settings.home) not in message


def test_where_the_api_sees_no_data_the_request_is_taken(api: TestClient, document: dict[str, Any]) -> None:
    """The data may lie on the workers' machine only, and they look again."""
    assert api.post("/v1/experiments", json=document).status_code == 202


def test_a_repeated_key_outlives_its_data(api: TestClient, pets: Path, document: dict[str, Any]) -> None:
    """The first experiment comes back though its folder is gone."""
    headers = {"Idempotency-Key": "key"}
    first = api.post("/v1/experiments", json=document, headers=headers).json()
    shutil.rmtree(pets)
    assert api.post("/v1/experiments", json=document, headers=headers).json()["id"] == first["id"]


def test_an_evaluation_is_held_against_the_classes_that_are_there(
    api: TestClient, settings: ServiceSettings, pets: Path
) -> None:
    """By name: a test folder renamed since is refused, and so is a transfer; the training images do not matter."""
    ours, other = imported(settings, "cat", "dog"), imported(settings, "cat", "eel")
    shutil.rmtree(pets / "train")
    asked = {"checkpoint": ours, "attacks": [FGSM]}
    assert api.post("/v1/evaluations", json=asked).status_code == 202
    ((pointer, message),) = refused(api.post("/v1/evaluations", json=asked | {"checkpoint": other}))
    assert (pointer, "only the checkpoint has eel; only the data set has dog" in message) == ("/checkpoint", True)
    transfer = {"kind": "transfer", "eps": "8/255", "source": other}
    assert [place for place, _ in refused(api.post("/v1/evaluations", json=asked | {"attacks": [transfer]}))] == [
        "/attacks/0/source"
    ]
    matrix = refused(api.post("/v1/transfers", json={"checkpoints": [ours, other]}))
    assert {place for place, _ in matrix} == {"/checkpoints/1"}
    (pets / "test/dog").rename(pets / "test/eel")
    assert [place for place, _ in refused(api.post("/v1/evaluations", json=asked))] == ["/checkpoint"]
    shutil.rmtree(pets)
    assert refused(api.post("/v1/evaluations", json=asked)) == [
        ("/checkpoint", "There is no folder pets among the data sets; there is no folder at all.")
    ]


@pytest.mark.usefixtures("pets")
def test_an_import_lists_the_classes_that_are_there(api: TestClient) -> None:
    """Others, or in another order, are refused; where the folder is not there the model may still classify."""
    card = CheckpointCard(
        architecture=Cnn(),
        dataset=PETS,
        classes=("cat", "dog"),
        image_shape=PETS.image_shape,
        origin=Imported(name="x"),
    )
    weights = encode_weights(dict(build_model(Cnn(), PETS.image_shape, 2).state_dict()), card)

    def send(*classes: str, folder: str = "pets") -> Any:
        said = {"name": "x", "architecture": {"kind": "cnn"}, "classes": classes}
        said |= {"dataset": {"name": "image_folder", "folder": folder, "image_size": 10}}
        return api.post("/v1/checkpoints", files={"weights": weights}, data={"card": json.dumps(said)})

    assert send("cat", "dog").status_code == 201
    unseen = send("fox", "owl", folder="forest")
    assert unseen.status_code == 201
    told = {finding["kind"]: finding["message"] for finding in unseen.json()["findings"]}
    assert told["dataset_unavailable"].endswith("There is no folder forest among the data sets; there is pets.")
    for classes, told in ((("dog", "cat"), "in another order, which is cat, dog"), (("cat", "eel"), "has eel")):
        ((pointer, message),) = refused(send(*classes))
        assert (pointer, told in message) == ("/card/classes", True)


@pytest.mark.usefixtures("pets")
def test_few_requests_look_at_once(settings: ServiceSettings, document: dict[str, Any]) -> None:
    """A file system that hangs holds so many threads; further requests about folders come again, others go on."""
    with TestClient(create_app(settings)) as api:
        with ExitStack() as taken:
            for _ in range(4):
                taken.enter_context(data._LOOKING.admit())
            answer = api.post("/v1/experiments", json=document)
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            digits = document | {"dataset": {"name": "digits"}}
            assert api.post("/v1/experiments", json=digits).status_code == 202
        assert api.post("/v1/experiments", json=document).status_code == 202
