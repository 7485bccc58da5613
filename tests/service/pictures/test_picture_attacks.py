"""Pictures under attack, and the test images that evaluations attacked."""

import base64
import io
import json
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import save_file

from gauntlet import seeding
from gauntlet.attacks import gradient
from gauntlet.data.datasets import describe_dataset, load_split, to_unit
from gauntlet.events import BatchAttacked
from gauntlet.models.architectures import build_model, initialise
from gauntlet.results.protocol import IMPLEMENTATIONS
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.evaluations.picture_attacks import PictureAttack
from gauntlet.spec.kinds import Digits, ImageFolder
from gauntlet.spec.runs.architectures import Cnn
from service.app import create_app
from service.errors import ServiceError
from service.pictures.picture_attacks import require_bounded
from service.settings import ServiceSettings
from store.database import Database
from store.models import Checkpoint
from store.subjects import evaluations
from store.subjects.evaluations import AttackedSet
from tests.evaluations import batch, begun, card, claimed, imported, queued, recorded
from tests.pictures import encoded

BUDGETS = ["8/255", "32/255", "128/255"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, broker_url: str) -> ServiceSettings:
    """One service for all tests of this module, which only read."""
    home = tmp_path_factory.mktemp("service")
    shutil.copy(migrated_sqlite, home / "gauntlet.db")
    return ServiceSettings(home=home, broker_url=broker_url, allowed_hosts=("testserver",))


@pytest.fixture(scope="module")
def database(settings: ServiceSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


@pytest.fixture(scope="module")
def network() -> torch.nn.Module:
    """The paper's CNN for digits with the weights that training begins with."""
    model = build_model(Cnn(), (1, 16, 16), 10).eval()
    initialise(model, 0)
    return model


@pytest.fixture(scope="module")
def checkpoint(settings: ServiceSettings, database: Database, network: torch.nn.Module) -> str:
    """The network as a stored checkpoint."""
    settings.storage.root.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    header = {"gauntlet": card("first").model_dump_json()}
    save_file(tensors, settings.storage.root / "first.safetensors", metadata=header)
    return imported(database, "first", path="first.safetensors")


@pytest.fixture(scope="module")
def api(settings: ServiceSettings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def digit() -> torch.Tensor:
    """A held-out digit, uint8 [1, 1, 16, 16]."""
    return load_split(Digits(), "test", Path("unused"))[0].images[5:6]


def attack(api: TestClient, digit: torch.Tensor, checkpoint: str, **plan: Any) -> httpx2.Response:
    picture = encoded(Image.fromarray(digit[0, 0].numpy()))
    answer: httpx2.Response = api.post(
        "/v1/classifications",
        files={"image": ("digit.png", picture, "image/png")},
        data={"checkpoint": checkpoint, "attack": json.dumps({"kind": "pgd", "eps": BUDGETS} | plan)},
    )
    return answer


def levels(picture: str) -> Any:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture))))


def test_a_picture_is_attacked_as_an_evaluation_attacks(
    api: TestClient, digit: torch.Tensor, checkpoint: str, network: torch.nn.Module
) -> None:
    """The probabilities at each budget are those of the library's own PGD, away from what the network sees in it."""
    (found,) = attack(api, digit, checkpoint, steps=5, loss="margin").json()["data"]
    with torch.no_grad():
        natural = network(to_unit(digit)).argmax(dim=1)
    assert found["attack"]["right"] == found["label"] == str(int(natural))
    assert found["attack"]["attack"] == "PGD (5 steps, margin)"
    assert [each["eps"] for each in found["attack"]["budgets"]] == BUDGETS
    for each in found["attack"]["budgets"]:
        eps = Fraction(each["eps"])
        random = seeding.generator("cpu", 0, "pgd")
        made = gradient.pgd(
            network, to_unit(digit), natural, eps, norm="Linf", steps=5, restarts=1, loss="margin", generator=random
        )
        with torch.no_grad():
            expected = network(made).softmax(dim=1)[0]
        shown = {one["label"]: one["probability"] for one in each["probabilities"]}
        assert [shown[str(label)] for label in range(10)] == pytest.approx(expected.tolist(), abs=1e-5)
        assert each["picture"] is None


def test_pictures_come_on_demand_and_keep_to_the_budget(api: TestClient, digit: torch.Tensor, checkpoint: str) -> None:
    """PNGs of the model's size: the natural one exactly, and attacked ones at most ε away from it, once rounded."""
    (found,) = attack(api, digit, checkpoint, kind="fgsm", pictures=True).json()["data"]
    natural = levels(found["attack"]["picture"]).astype(int)
    assert (natural == digit[0, 0].numpy()).all()
    for each in found["attack"]["budgets"]:
        away = np.abs(levels(each["picture"]).astype(int) - natural).max()
        assert 0 < away <= int(Fraction(each["eps"]) * 255)


def test_it_says_from_which_budget_on_a_network_is_fooled(
    api: TestClient, digit: torch.Tensor, checkpoint: str
) -> None:
    """`smallest_eps` is the first budget at which it is taken for another class than the one that is right."""
    (found,) = attack(api, digit, checkpoint, eps=["0", *BUDGETS]).json()["data"]
    fooled = [each["eps"] for each in found["attack"]["budgets"] if each["label"] != found["label"]]
    assert found["attack"]["smallest_eps"] == fooled[0] != "0"
    wrong = next(str(label) for label in range(10) if str(label) != found["label"])
    (otherwise,) = attack(api, digit, checkpoint, eps=["0", *BUDGETS], label=wrong).json()["data"]
    assert (otherwise["attack"]["right"], otherwise["attack"]["smallest_eps"]) == (wrong, "0")


@pytest.mark.parametrize(
    ("plan", "pointer"),
    [
        ({"kind": "autoattack"}, "/attack/kind"),
        ({"eps": []}, "/attack/eps"),
        ({"eps": ["8/255", "8/255"]}, "/attack/eps"),
        ({"eps": ["300/255"]}, "/attack/eps"),
        ({"steps": 101}, "/attack/steps"),
        ({"steps": 100, "restarts": 5, "eps": [f"{level}/255" for level in range(1, 18)]}, "/attack"),
        ({"label": "a cat"}, "/attack/label"),
        ({"pictures": "yes"}, "/attack/pictures"),
        ({"queries": 5}, "/attack/queries"),
    ],
)
def test_what_cannot_be_attacked_so_is_refused_at_its_field(
    api: TestClient, digit: torch.Tensor, checkpoint: str, plan: dict[str, Any], pointer: str
) -> None:
    """Unknown attacks, no budgets or the same twice, too many steps in all, a class that the model does not know."""
    answer = attack(api, digit, checkpoint, **plan)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_a_class_that_a_model_does_not_know_is_told_with_those_that_it_knows() -> None:
    """And that one of them reads the same, where a file system has written its name otherwise."""
    plan = PictureAttack.model_validate({"kind": "fgsm", "eps": ["8/255"], "label": "Ka\u0308fer"})
    card = CheckpointCard.model_validate(
        {
            "architecture": {"kind": "cnn"},
            "dataset": {"name": "image_folder", "folder": "pets"},
            "classes": ["K\u00e4fer", "cat"],
            "image_shape": [3, 32, 32],
            "origin": {"kind": "imported", "name": "theirs"},
        }
    )
    with pytest.raises(ServiceError) as told:
        require_bounded(plan, [card], 1, 100)
    (error,) = told.value.errors
    assert error.message == (
        "A checkpoint does not know this class; its classes are K\u00e4fer, cat. One of these reads the same, and is "
        "written with other Unicode characters (NFC and NFD)."
    )


def test_an_attack_that_computes_for_too_long_is_ended(
    settings: ServiceSettings, digit: torch.Tensor, checkpoint: str
) -> None:
    """Its process is stopped by the kernel, the request is told so, and the next one is answered."""
    hasty = settings.model_copy(update={"max_attack_s": 0.01})
    with TestClient(create_app(hasty), raise_server_exceptions=False) as api:
        slow = attack(api, digit, checkpoint, steps=100)
        assert slow.status_code == 422
        assert "more than 0.01 s of a processor" in slow.json()["errors"][0]["message"]
        picture = encoded(Image.fromarray(digit[0, 0].numpy()))
        files = {"image": ("digit.png", picture, "image/png")}
        plain = api.post("/v1/classifications", files=files, data={"checkpoint": checkpoint})
        assert (plain.status_code, plain.json()["data"][0]["attack"]) == (200, None)


def test_an_evaluations_images_are_shown(api: TestClient, database: Database, checkpoint: str) -> None:
    """As PNG, those that it looked at; and none where the data set is not the one that was attacked."""
    evaluation = queued(database, checkpoint)
    held = begun(database, evaluation)
    test, _ = load_split(Digits(), "test", Path("unused"))
    for number in range(2):
        images = [2 * number, 2 * number + 1]
        recorded(database, held, batch("natural", number, images, [0, 0]))
    # The made-up batches say that image i is of the class i.
    position = next(i for i in range(4) if int(test.labels[i]) == i)
    other = next(i for i in range(4) if int(test.labels[i]) != i)
    shown = api.get(f"/v1/evaluations/{evaluation}/images/{position}.png")
    assert (shown.status_code, shown.headers["content-type"]) == (200, "image/png")
    assert (np.asarray(Image.open(io.BytesIO(shown.content))) == test.images[position, 0].numpy()).all()
    assert "no longer the one" in api.get(f"/v1/evaluations/{evaluation}/images/{other}.png").json()["detail"]
    assert api.get(f"/v1/evaluations/{evaluation}/images/9.png").status_code == 404
    assert api.get(f"/v1/evaluations/{evaluation}/images/x.png").status_code == 422


def test_no_image_is_shown_of_a_folder_whose_pictures_are_others_now(
    api: TestClient, settings: ServiceSettings, database: Database
) -> None:
    """Also where the image at the position has the same class as before; once they are as they were, it is shown."""
    for split in ("train", "test"):
        for name, level in (("dark", 10), ("light", 200)):
            folder = settings.data_root / "signs" / split / name
            folder.mkdir(parents=True)
            for number in range(3):
                (folder / f"{number}.png").write_bytes(encoded(Image.new("RGB", (12, 12), (level + number,) * 3)))
    spec = ImageFolder(folder="signs", image_size=12)
    test, classes = load_split(spec, "test", settings.data_root)
    shape = {"image_shape": (3, 12, 12), "classes": classes, "dataset": spec}
    checkpoint = imported(database, "signs")
    with database.writing() as session:
        session.get_one(Checkpoint, checkpoint).card = card("signs").model_copy(update=shape).model_dump(mode="json")
    evaluation = queued(database, checkpoint, samples=2)
    held = claimed(database, evaluation)
    described = describe_dataset(spec, settings.data_root)
    position = 0
    with database.writing() as session:
        evaluations.note_start(session, held, AttackedSet("d" * 64, 2, described), IMPLEMENTATIONS)
    label = int(test.labels[position])
    recorded(database, held, BatchAttacked("natural", 0, (position,), (label,), (label,), (False,), 0, 0))
    path = f"/v1/evaluations/{evaluation}/images/{position}.png"
    first = api.get(path)
    assert first.status_code == 200
    name = classes[label]
    other = settings.data_root / "signs" / "test" / name / "2.png"
    before = other.read_bytes()
    other.write_bytes(encoded(Image.new("RGB", (12, 12), (90, 0, 0))))
    assert "no longer the one" in api.get(path).json()["detail"]
    other.write_bytes(before)
    assert api.get(path).content == first.content


def test_data_sets_that_need_no_upload_show_an_image_of_each_class(api: TestClient, settings: ServiceSettings) -> None:
    """The digits by their names; no image of a class that there is not."""
    digits = next(each for each in api.get("/v1/datasets").json()["data"] if each["name"] == "digits")
    shown = api.get(f"/v1/datasets/{digits['id']}").json()["thumbnails"]
    assert [each["label"] for each in shown] == list("0123456789")
    picture = api.get(shown[7]["path"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    test, _ = load_split(Digits(), "test", settings.data_root)
    seven = test.images[test.labels == 7][0, 0].numpy()
    assert (np.asarray(Image.open(io.BytesIO(picture.content))) == seven).all()
    beyond = api.get(f"/v1/datasets/{digits['id']}/thumbnails/10.png")
    assert (beyond.status_code, "has no test image of a class 10;" in beyond.json()["detail"]) == (404, True)
    assert api.get("/v1/datasets/local_0/thumbnails/0.png").status_code == 404
