"""Models that were trained elsewhere, brought to the service."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import load, save
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from torch import Tensor

from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import load_model
from gauntlet.spec.runs.architectures import Cnn
from service.app import create_app
from service.routes import checkpoints
from service.settings import ServiceSettings

pytestmark = pytest.mark.long(seconds=16)

CARD: dict[str, Any] = {
    "name": "a digit reader",
    "source": "https://example.org/digits",
    "architecture": {"kind": "cnn"},
    "dataset": {"name": "digits"},
}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    model = build_model(Cnn(), (1, 16, 16), 10)
    initialise(model, 0)
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


def post(api: TestClient, content: bytes, card: Any) -> Any:
    text = card if isinstance(card, str | bytes) else json.dumps(card)
    return api.post("/v1/checkpoints", files={"weights": ("weights.safetensors", content)}, data={"card": text})


def refused(api: TestClient, settings: ServiceSettings, answer: Any) -> list[str]:
    """Check that an answer is a 422 and that nothing was kept; the pointers of its errors."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert api.get("/v1/checkpoints").json()["data"] == []
    assert not list(settings.storage.root.rglob("*.*"))
    return [error["pointer"] for error in answer.json()["errors"]]


def trained_from(api: TestClient, document: dict[str, Any], checkpoint: str) -> Any:
    """The answer to an experiment that starts from a checkpoint."""
    training = document["training"] | {"initial_checkpoint": checkpoint}
    return api.post("/v1/experiments", json=document | {"training": training})


def test_an_imported_model_is_a_checkpoint(
    api: TestClient, weights: dict[str, Tensor], tmp_path: Path, tiny_document: dict[str, Any]
) -> None:
    """It is listed, shown and downloaded like one of a run, and the file says by itself what it is; training starts
    from it."""
    answer = post(api, save(weights), CARD)
    assert answer.status_code == 201, answer.text
    imported = answer.json()
    assert answer.headers["Location"] == f"/v1/checkpoints/{imported['id']}"
    assert [imported.pop(name) for name in ("findings", "renamed", "left_out")] == [[], {}, {}]
    assert (imported["name"], imported["run"], imported["epoch"], imported["metrics"]) == (CARD["name"], None, None, {})
    assert imported["card"]["classes"] == list("0123456789")
    assert imported["card"]["origin"] == {"kind": "imported", "name": CARD["name"], "source": CARD["source"]}
    assert api.get(answer.headers["Location"]).json() == imported
    assert api.get("/v1/checkpoints").json()["data"] == [imported]

    content = api.get(f"{answer.headers['Location']}/weights").content
    assert (hashlib.sha256(content).hexdigest(), len(content)) == (imported["sha256"], imported["bytes"])
    file = tmp_path / "downloaded.safetensors"
    file.write_bytes(content)
    assert load_model(file, torch.device("cpu")).card.model_dump(mode="json") == imported["card"]
    assert all(torch.equal(tensor, weights[name]) for name, tensor in load(content).items())
    assert trained_from(api, tiny_document, imported["id"]).status_code == 202

    again = post(api, content, CARD)
    assert again.status_code == 201
    assert again.json()["id"] != imported["id"]
    assert again.json()["sha256"] == imported["sha256"]


def test_what_becomes_of_tensors_is_told(api: TestClient, weights: dict[str, Tensor]) -> None:
    """Of a network that was held by another, and stored twice: which name became which, and what was not taken.

    However long the names are that nothing is known of.
    """
    held = {f"module.{name}": tensor for name, tensor in weights.items()}
    copies = {f"module.attacker.{'é' * 2_000}{place}": torch.zeros(1) for place in range(1_000)}
    imported = post(api, save(held | copies), CARD).json()
    assert imported["renamed"] == {f"module.{name}": name for name in weights}
    assert imported["left_out"] == dict.fromkeys(copies, "a second copy of the network")


def test_one_model_is_imported_at_a_time(api: TestClient, weights: dict[str, Tensor]) -> None:
    """While one is examined another is told to come again, instead of holding a thread of the server."""
    with checkpoints.IMPORTS.admit():
        answer = post(api, save(weights), CARD)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "5")
    assert answer.json()["type"] == "urn:gauntlet:problem:busy"
    assert post(api, save(weights), CARD).status_code == 201


def test_an_import_whose_answer_was_lost_is_whole(
    api: TestClient, settings: ServiceSettings, weights: dict[str, Tensor]
) -> None:
    """The commit went through and the database did not live to say so: a 503, and a checkpoint with its file."""

    def fall(_: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("the server closed the connection"))

    sessions = cast("FastAPI", api.app).state.database._write.class_
    event.listen(sessions, "after_commit", fall)
    try:
        assert post(api, save(weights), CARD).status_code == 503
    finally:
        event.remove(sessions, "after_commit", fall)
    (imported,) = api.get("/v1/checkpoints").json()["data"]
    content = api.get(f"/v1/checkpoints/{imported['id']}/weights").content
    assert hashlib.sha256(content).hexdigest() == imported["sha256"]
    assert (settings.storage.root / imported["id"] / "unrecorded").exists()


def test_an_imported_model_classifies_with_its_normalisation(
    api: TestClient, weights: dict[str, Tensor], tiny_document: dict[str, Any]
) -> None:
    """The picture is shown in [0, 1]; the model's mean and std are applied inside, and no training starts there."""
    card = CARD | {"normalisation": {"mean": [0.25], "std": [0.5]}}
    checkpoint = post(api, save(weights), card).json()["id"]
    buffer = io.BytesIO()
    Image.new("L", (16, 16), 51).save(buffer, "PNG")
    answer = api.post(
        "/v1/classifications", files={"image": ("grey.png", buffer.getvalue())}, data={"checkpoint": checkpoint}
    )
    model = build_model(Cnn(), (1, 16, 16), 10).eval()
    model.load_state_dict(weights)
    expected = model(torch.full((1, 1, 16, 16), (0.2 - 0.25) / 0.5)).softmax(dim=1)[0].tolist()
    found = {item["label"]: item["probability"] for item in answer.json()["data"][0]["probabilities"]}
    assert [found[str(label)] for label in range(10)] == pytest.approx(expected, abs=1e-6)
    assert trained_from(api, tiny_document, checkpoint).status_code == 422


def test_what_looks_wrong_is_told(api: TestClient, weights: dict[str, Tensor]) -> None:
    """A model that does not depend on its input is imported with a warning."""
    dead = {name: torch.zeros_like(tensor) for name, tensor in weights.items()}
    (finding,) = post(api, save(dead), CARD).json()["findings"]
    assert (finding["kind"], finding["severity"]) == ("constant_output", "warning")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"name": ""}, "/card/name"),
        ({"name": "a\u0000b"}, "/card/name"),
        ({"name": None}, "/card/name"),
        ({"source": "x" * 501}, "/card/source"),
        ({"architecture": {"kind": "vgg"}}, "/card/architecture"),
        ({"architecture": {}}, "/card/architecture"),
        ({"architecture": {"kind": "resnet18", "depth": 3}}, "/card/architecture/depth"),
        ({"dataset": {"name": "imagenet"}}, "/card/dataset"),
        ({"dataset": {"name": "image_folder", "folder": "../etc"}}, "/card/dataset/folder"),
        ({"dataset": {"name": "image_folder", "folder": "mine"}}, "/card/classes"),
        ({"classes": ["a"]}, "/card/classes"),
        ({"classes": ["a", "b"]}, "/card/classes"),
        ({"classes": ["a"] * 10}, "/card/classes"),
        ({"classes": list("9876543210")}, "/card/classes"),
        ({"classes": ["\u0000", *"123456789"]}, "/card/classes/0"),
        ({"image_shape": [3, 16, 16]}, "/card/image_shape"),
        ({"image_shape": [1, 16, 10**9]}, "/card/image_shape/2"),
        ({"normalisation": {"mean": [0.5] * 3, "std": [0.5] * 3}}, "/card/normalisation"),
        ({"normalisation": {"mean": [0.5], "std": [0]}}, "/card/normalisation/std/0"),
        ({"normalisation": {"mean": [float("nan")], "std": [1]}}, "/card/normalisation/mean/0"),
        ({"origin": {"kind": "trained"}}, "/card/origin"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_an_invalid_card_is_refused(
    api: TestClient,
    settings: ServiceSettings,
    weights: dict[str, Tensor],
    change: dict[str, Any],
    pointer: str,
) -> None:
    """The pointer leads into the card."""
    assert refused(api, settings, post(api, save(weights), CARD | change)) == [pointer]


@pytest.mark.parametrize(
    "card", ["", "no json", "[" * 19_000, "[]", "null", '{"name": "\\ud800"}'], ids=lambda card: card[:10]
)
def test_a_card_that_is_none_is_refused(
    api: TestClient, settings: ServiceSettings, weights: dict[str, Tensor], card: str
) -> None:
    """Whatever it is instead, the answer is a 422."""
    assert refused(api, settings, post(api, save(weights), card))[0].startswith("/card")


def torch_saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_a_file_that_is_no_weights_is_refused(api: TestClient, settings: ServiceSettings) -> None:
    """The process that reads it says what it is; nothing is kept of it."""
    answer = post(api, torch_saved({"a": torch.zeros(2)}), CARD)
    assert refused(api, settings, answer) == ["/weights"]
    assert answer.json()["errors"][0]["message"].startswith("The file is a zip archive, such as torch.save writes.")


def test_a_part_that_is_missing_is_named(api: TestClient, settings: ServiceSettings) -> None:
    """Both the file and the card are required."""
    assert refused(api, settings, api.post("/v1/checkpoints", data={"card": json.dumps(CARD)})) == ["/weights"]
    assert refused(api, settings, api.post("/v1/checkpoints", files={"weights": b"x"})) == ["/card"]


def test_an_upload_beyond_the_bound_is_not_read(settings: ServiceSettings) -> None:
    """413, whether the length is declared or the body comes in chunks."""
    small = settings.model_copy(update={"max_weights_bytes": 50_000})
    with TestClient(create_app(small), raise_server_exceptions=False) as api:
        assert post(api, bytes(60_000), CARD).status_code == 413
        chunks = (bytes(1_000) for _ in range(60))
        headers = {"Content-Type": "multipart/form-data; boundary=x"}
        assert api.post("/v1/checkpoints", content=chunks, headers=headers).status_code == 413
