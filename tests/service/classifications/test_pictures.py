"""Uploaded pictures and the checkpoints that classify them."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from safetensors.torch import save

from gauntlet.data.datasets import to_unit
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import load_model
from gauntlet.spec.runs.architectures import Cnn
from service.settings import ServiceSettings
from store.database import Database
from tests.evaluations import imported
from tests.pictures import animated, bomb, encoded, rotated, sixteen_bit
from tests.service.classifications.asking import post, probabilities


def test_each_image_is_seen_by_each_checkpoint(
    api: TestClient, checkpoints: list[str], digit: Image.Image, settings: ServiceSettings
) -> None:
    """The answer is the model's own softmax, image by image and checkpoint by checkpoint, likeliest class first."""
    mirrored = digit.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    answer = post(api, checkpoints, encoded(digit), encoded(mirrored))
    seen = answer.json()["data"]
    assert [item["checkpoint"] for item in seen] == checkpoints * 2
    newest = next(settings.storage.root.rglob("epoch-00004.safetensors"))
    model = load_model(newest, torch.device("cpu")).model
    for item, picture in ((seen[0], digit), (seen[2], mirrored)):
        pixels = torch.from_numpy(np.array(picture))[None, None]
        expected = model(to_unit(pixels)).softmax(dim=1)[0].tolist()
        found = {entry["label"]: entry["probability"] for entry in item["probabilities"]}
        assert [found[str(label)] for label in range(10)] == pytest.approx(expected, abs=1e-6)
        assert item["label"] == max(found, key=lambda label: found[label])
        assert item["probability"] == max(found.values())


VARIANTS = {
    "rgb": lambda picture: encoded(picture.convert("RGB")),
    "alpha": lambda picture: encoded(picture.convert("LA")),
    "rgba": lambda picture: encoded(picture.convert("RGBA")),
    "palette": lambda picture: encoded(picture.convert("P")),
    "sixteen-bit": sixteen_bit,
    "jpeg": lambda picture: encoded(picture, "JPEG", quality=100),
    "cmyk-jpeg": lambda picture: encoded(picture.convert("RGB").convert("CMYK"), "JPEG", quality=100, subsampling=0),
    "exif-rotated": rotated,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_picture_in_another_mode_is_seen_as_its_plain_twin(
    api: TestClient, checkpoints: list[str], digit: Image.Image, variant: str
) -> None:
    """Alpha, palette, 16 bits, CMYK and EXIF rotation give the plain picture's prediction."""
    plain = probabilities(post(api, checkpoints[:1], encoded(digit)))
    other = probabilities(post(api, checkpoints[:1], VARIANTS[variant](digit)))
    assert other == pytest.approx(plain, abs=0.02)


def test_transparency_is_seen_over_white(api: TestClient, checkpoints: list[str], digit: Image.Image) -> None:
    """Fully transparent pixels count as white, whatever colour they hide."""
    hidden = digit.convert("RGBA")
    hidden.putalpha(0)
    white = Image.new("L", digit.size, 255)
    assert probabilities(post(api, checkpoints[:1], encoded(hidden))) == pytest.approx(
        probabilities(post(api, checkpoints[:1], encoded(white)))
    )


def test_a_picture_of_another_size_is_resized(api: TestClient, checkpoints: list[str], digit: Image.Image) -> None:
    """A fourfold enlargement is still recognised as the same picture."""
    large = digit.resize((64, 64), Image.Resampling.NEAREST)
    plain = probabilities(post(api, checkpoints[:1], encoded(digit)))
    assert probabilities(post(api, checkpoints[:1], encoded(large))) == pytest.approx(plain, abs=0.05)


BAD_PICTURES = {
    "text": (lambda _: b"I am a text file.", 415),
    "empty": (lambda _: b"", 415),
    "svg": (lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"/>', 415),
    "gif": (lambda picture: encoded(picture, "GIF"), 415),
    "truncated": (lambda picture: encoded(picture.resize((100, 100)))[:-40], 422),
    "header-only": (lambda picture: encoded(picture)[:20], 422),
    "bomb": (lambda _: bomb(), 422),
    "too-many-pixels": (lambda picture: encoded(picture.resize((501, 500))), 422),
    "animated": (animated, 422),
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
def test_a_bad_picture_is_refused(api: TestClient, checkpoints: list[str], digit: Image.Image, kind: str) -> None:
    """415 for what is no PNG or JPEG, 422 for one that cannot be used; the pointer says which upload it was."""
    make, status = BAD_PICTURES[kind]
    answer = post(api, checkpoints, encoded(digit), make(digit))
    assert answer.status_code == status, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/image/1"]


def test_a_large_upload_is_refused(api: TestClient, checkpoints: list[str]) -> None:
    """Beyond the bound of an upload the answer is 413."""
    assert post(api, checkpoints, b"x" * 300_000).status_code == 413


def test_a_name_is_only_a_name(api: TestClient, checkpoints: list[str], digit: Image.Image) -> None:
    """A path as file name is returned as text and touches no file."""
    answer = post(api, checkpoints[:1], encoded(digit), name="../../etc/passwd")
    assert answer.json()["data"][0]["image"] == "../../etc/passwd"


@pytest.mark.parametrize(
    ("data", "files"),
    [
        ({}, [("image", ("a.png", b"x"))]),
        ({"checkpoint": "ckpt_none"}, []),
        ({"checkpoint": [f"ckpt_{number}" for number in range(9)]}, [("image", ("a.png", b"x"))]),
        ({"checkpoint": ["ckpt_1", "ckpt_2", "ckpt_1"]}, [("image", ("a.png", b"x"))]),
    ],
    ids=["no-checkpoint", "no-image", "too-many", "one-twice"],
)
def test_an_incomplete_form_is_refused(api: TestClient, data: dict[str, Any], files: list[Any]) -> None:
    """Both parts are needed, within bounds, and no checkpoint twice."""
    answer = api.post("/v1/classifications", data=data, files=files)
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["pointer"] in ("/image", "/checkpoint")


def test_an_answer_is_bounded(api: TestClient, settings: ServiceSettings, digit: Image.Image) -> None:
    """Images × checkpoints × classes has a bound, which is looked at before any picture is."""
    database = Database(settings.database_url)
    many = imported(database, "many", classes=10_000)
    database.close()
    answer = post(api, [many], *[b"no picture"] * 11)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/image"]
    assert post(api, [many], *[encoded(digit)] * 10).status_code == 409  # the row has no file


def test_a_picture_that_overflows_a_model_is_refused(api: TestClient, digit: Image.Image) -> None:
    """Finite on noise, and so imported, a model may still have no finite output on a bright picture: 422, no NaN."""
    model = build_model(Cnn(), (1, 16, 16), 10).eval()
    initialise(model, 0)
    # Without a negative weight and without biases the output is proportional to the brightness.
    weights = {name: tensor.abs().contiguous() for name, tensor in model.state_dict().items()}
    model.load_state_dict(weights)
    white = model(torch.ones(1, 1, 16, 16)).max().item()
    last = list(weights)[-2]
    weights[last] *= 1.2 * torch.finfo().max / white
    card = {"name": "bright", "architecture": {"kind": "cnn"}, "dataset": {"name": "digits"}}
    sent = api.post("/v1/checkpoints", files={"weights": ("w", save(weights))}, data={"card": json.dumps(card)})
    assert sent.status_code == 201, sent.text
    answer = post(api, [sent.json()["id"]], encoded(digit), encoded(Image.new("L", (16, 16), 255)))
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:gauntlet:problem:output-not-finite"), answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == ["/image/1"]


def test_an_unknown_checkpoint_is_not_found(api: TestClient, digit: Image.Image) -> None:
    """404, as for every unknown id."""
    assert post(api, ["ckpt_none"], encoded(digit)).status_code == 404


def test_a_damaged_exif_entry_does_not_matter(api: TestClient, checkpoints: list[str], digit: Image.Image) -> None:
    """The picture is seen as it stands."""
    exif = Image.Exif()
    exif[0x0112] = 6
    whole = encoded(digit, "JPEG", exif=exif, quality=100)
    for damage in (b"\x00\xff", b"\xff\xff", b"\x00\x00"):
        start = whole.index(b"Exif\0\0") + 6
        damaged = whole[: start + 8] + damage * 6 + whole[start + 20 :]
        assert post(api, checkpoints[:1], damaged).status_code in (200, 422)


def test_a_phones_second_picture_is_ignored(api: TestClient, checkpoints: list[str], digit: Image.Image) -> None:
    """Of a JPEG with two pictures (MPO) the first is classified."""
    plain = probabilities(post(api, checkpoints[:1], encoded(digit, "JPEG", quality=100)))
    second = digit.point(lambda level: 255 - level)
    both = encoded(digit, "MPO", save_all=True, append_images=[second], quality=100)
    assert probabilities(post(api, checkpoints[:1], both)) == pytest.approx(plain, abs=0.02)


@pytest.mark.parametrize("charset", ["unicode_escape", "utf-7", "nonsense"])
def test_a_strange_charset_is_no_internal_error(
    api: TestClient, checkpoints: list[str], digit: Image.Image, charset: str
) -> None:
    """Names that are no text are answered, not crashed on."""
    part = b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
    body = part % (b"image", b'; filename="\\ud800.png"', encoded(digit))
    for identifier in (checkpoints[0].encode(), b"\\ud800"):
        answer = api.post(
            "/v1/classifications",
            content=body + part % (b"checkpoint", b"", identifier) + b"--x--\r\n",
            headers={"Content-Type": f"multipart/form-data; boundary=x; charset={charset}"},
        )
        assert answer.status_code < 500, answer.text


def test_pictures_may_be_classified_in_bf16(
    api: TestClient,
    checkpoints: list[str],
    digit: Image.Image,
    settings: ServiceSettings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The answer says so, and is another by less than 0.01; what is attacked is computed as evaluations do."""
    content = encoded(digit)
    exact = post(api, checkpoints[:1], content)
    assert exact.json()["data"][0]["precision"] == "fp32"
    monkeypatch.setattr(api.app.state, "settings", settings.model_copy(update={"classify_precision": "bf16"}))
    lowered = post(api, checkpoints[:1], content)
    assert lowered.json()["data"][0]["precision"] == "bf16"
    assert probabilities(lowered) != probabilities(exact)
    assert probabilities(lowered) == pytest.approx(probabilities(exact), abs=1e-2)
    form = {"checkpoint": checkpoints[:1], "attack": json.dumps({"kind": "fgsm", "eps": ["0"]})}
    attacked = api.post("/v1/classifications", files=[("image", ("picture.png", content))], data=form)
    assert attacked.json()["data"][0]["precision"] == "fp32", attacked.text
    assert probabilities(attacked) == probabilities(exact)
