"""Attacked pictures as data: what is kept, what a file holds, and how it is checked without any attack."""

import io
import json
import math
import zipfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gauntlet.data.datasets import ImageSet
from gauntlet.errors import ModelUnfit, PicturesInvalid
from gauntlet.evaluation import kept_pictures
from gauntlet.evaluation.kept_pictures import KeptPictures, gather, pictures_of, read_kept
from gauntlet.evaluation.loop import evaluate
from gauntlet.evaluation.verification import verify
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

SPEC = EvaluationSpec.model_validate(
    {
        "attacks": [{"kind": "fgsm", "eps": "40/255"}, {"kind": "pgd", "eps": 2, "norm": "L2", "steps": 3},
                    {"kind": "screen", "eps": "40/255"}],
        "samples": 12, "batch_size": 5, "keep_images": 8,
    }
)  # fmt: skip
ABOUT = {"classes": ["dark", "middle", "bright"], "weights_sha256": "ab"}


def model(images: Tensor) -> Tensor:
    """Three classes, by the mean brightness of an image: below a third, up to two thirds, and above."""
    brightness = images.flatten(1).mean(dim=1)
    return torch.stack([-(((brightness - middle) * 9) ** 2) for middle in (1 / 6, 1 / 2, 5 / 6)], dim=1)


@pytest.fixture(scope="module")
def test_set() -> ImageSet:
    """Of each class some far from the others and some near; the fifth is misclassified without any attack."""
    levels = [40, 80, 120, 165, 100, 200, 230, 60, 130, 175, 30, 90]
    labels = [0, 0, 1, 1, 2, 2, 2, 0, 1, 2, 0, 1]
    noise = torch.randint(-5, 5, (12, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    return ImageSet.of((noise + torch.tensor(levels).view(-1, 1, 1, 1)).to(torch.uint8), torch.tensor(labels))


@pytest.fixture(scope="module")
def kept(test_set: ImageSet) -> KeptPictures:
    batches = list(evaluate(model, test_set, SPEC, 3, device="cpu"))
    return gather(SPEC, test_set, batches, pictures_of(batches), ABOUT)


def test_pictures_are_kept_of_the_first_images_and_no_others(test_set: ImageSet) -> None:
    """Of the second batch's five images three; none of the natural pass, and none without being asked for."""
    batches = list(evaluate(model, test_set, SPEC, 3, device="cpu"))
    sizes = {(batch.stage, batch.batch): len(batch.attacked) for batch in batches if batch.attacked is not None}
    assert sizes["fgsm@40/255", 0] == 5
    assert sizes["fgsm@40/255", 1] == 3
    assert not any(stage == "natural" or (stage, number) == ("fgsm@40/255", 2) for stage, number in sizes)
    none = SPEC.model_copy(update={"keep_images": 0})
    assert all(batch.attacked is None for batch in evaluate(model, test_set, none, 3, device="cpu"))
    assert "keep_images" not in none.model_dump()


def test_what_is_kept_is_what_the_model_was_measured_on(kept: KeptPictures) -> None:
    """Each attack's picture is taken for the class that the evaluation counted, within its budget."""
    assert [attack.label for attack in kept.attacks] == ["fgsm@40/255", "pgd(steps=3)@L2:2", "screen@40/255"]
    fgsm, pgd, screen = kept.attacks
    assert kept.images.shape == (8, 1, 4, 4)
    for attack in kept.attacks:
        with torch.no_grad():
            seen = model(torch.from_numpy(attack.pictures)).argmax(dim=1)
        assert seen.tolist() == attack.predicted.tolist()
    originals = kept.images.astype(np.float64) / 255
    assert np.abs(fgsm.pictures - originals).max() == pytest.approx(40 / 255, abs=1e-6)
    assert np.linalg.norm((pgd.pictures - originals).reshape(8, -1), axis=1).max() <= 2 + 1e-6
    # An ensemble is not tried on an image that is misclassified without it.
    assert kept.natural[4] != kept.labels[4] == 2
    assert np.array_equal(screen.pictures[4], kept.images[4].astype(np.float32) / np.float32(255))
    assert (screen.predicted != kept.labels).sum() > 2


def test_a_file_holds_them_exactly(kept: KeptPictures, tmp_path: Path) -> None:
    (tmp_path / "kept.npz").write_bytes(kept.as_npz())
    read = read_kept(tmp_path / "kept.npz")
    assert read.about["weights_sha256"] == "ab"
    for mine, theirs in zip(kept.attacks, read.attacks, strict=True):
        assert (mine.label, mine.norm, mine.eps) == (theirs.label, theirs.norm, theirs.eps)
        assert np.array_equal(mine.pictures, theirs.pictures)
    assert all(found.holds for found in verify(read, as_module()))


def as_module() -> torch.nn.Module:
    class ByBrightness(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return model(images)

    return ByBrightness().eval()


def test_pictures_to_look_at_are_rounded(kept: KeptPictures) -> None:
    """A folder for each attack, whose names hold no separator of paths."""
    with zipfile.ZipFile(io.BytesIO(kept.as_png())) as archive:
        names = archive.namelist()
        assert len(names) == 8 * 4
        assert {name.count("/") for name in names} == {1}
        with Image.open(archive.open("00 fgsm@40∕255/0003.png")) as picture:
            assert np.array_equal(np.array(picture), np.rint(kept.attacks[0].pictures[3, 0] * 255).astype(np.uint8))


Change = Callable[[KeptPictures], KeptPictures]


def changed(position: int, value: float) -> Change:
    def change(kept: KeptPictures) -> KeptPictures:
        attack = kept.attacks[0]
        pictures = attack.pictures.copy()
        pictures[position, 0, 0, 0] = value
        return replace(kept, attacks=(replace(attack, pictures=pictures), *kept.attacks[1:]))

    return change


def claimed(kept: KeptPictures) -> KeptPictures:
    attack = kept.attacks[0]
    predicted = attack.predicted.copy()
    predicted[6] = (predicted[6] + 1) % 3
    return replace(kept, attacks=(replace(attack, predicted=predicted), *kept.attacks[1:]))


def tightened(kept: KeptPictures) -> KeptPictures:
    attack = replace(kept.attacks[0], eps=Fraction(39, 255))
    return replace(kept, attacks=(attack, *kept.attacks[1:]))


@pytest.mark.parametrize(
    ("change", "field", "positions"),
    [
        (changed(2, 0.0), "beyond", (2,)),
        (changed(5, 1.5), "outside", (5,)),
        (changed(0, -0.01), "outside", (0,)),
        (claimed, "otherwise", (6,)),
        (tightened, "beyond", tuple(range(8))),
    ],
    ids=["far", "above", "below", "class", "budget"],
)
def test_what_is_not_as_said_is_found(
    kept: KeptPictures, change: Change, field: str, positions: tuple[int, ...]
) -> None:
    """Picture by picture, and only of the attack that it is of."""
    natural, fgsm, *others = verify(change(kept), as_module())
    assert getattr(fgsm, field) == positions
    assert not fgsm.holds
    assert all(found.holds for found in (natural, *others))


def test_a_tie_between_two_classes_is_no_fault(kept: KeptPictures) -> None:
    """Another processor may take the other one."""
    equal = torch.zeros(8, 3)
    equal[:, 2] = 1e-6

    class Undecided(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return equal[: len(images)] + 1.0

    found = list(verify(kept, Undecided()))
    assert all(each.holds for each in found)
    assert sum(len(each.undecided) for each in found) > 8


def test_a_model_of_other_classes_or_images_is_told(kept: KeptPictures) -> None:
    with pytest.raises(ModelUnfit, match="does not answer for the 3 classes"):
        list(verify(kept, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))))
    with pytest.raises(ModelUnfit, match="no images of 1 × 4 × 4"):
        list(verify(kept, torch.nn.Conv2d(3, 3, 1)))


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_an_output_that_is_not_finite_proves_nothing(kept: KeptPictures, value: float) -> None:
    """Whatever is said of the pictures would be undecided, or be class 0."""

    class Overflowing(torch.nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return torch.tensor([value, 0.0, 0.0]).expand(len(images), 3)

    with pytest.raises(ModelUnfit, match="infinite or not a number"):
        list(verify(kept, Overflowing()))


def packed(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)
    return content.getvalue()


def about(**fields: Any) -> Any:
    attacks = [{"label": "fgsm@1/255", "norm": "Linf", "eps": "1/255"}]
    return np.array(json.dumps({"classes": ["a", "b"], "attacks": attacks} | fields))


IMAGES, LABELS = np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int64)
WHOLE: dict[str, Any] = {
    "about": about(), "images": IMAGES, "labels": LABELS, "natural": LABELS, "predicted_0": LABELS,
    "attacked_0": np.zeros((2, 1, 4, 4), np.float32),
}  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04" + bytes(40),
        packed(images=IMAGES),
        packed(**WHOLE | {"about": np.array([{}], dtype=object)}),
        packed(**WHOLE | {"about": about(attacks=[])}),
        packed(**WHOLE | {"about": about(classes=7)}),
        packed(**WHOLE | {"about": about(attacks=[{"label": "x", "norm": "Linf", "eps": "1/0"}])}),
        packed(**WHOLE | {"labels": LABELS + 2}),
        packed(**WHOLE | {"natural": np.zeros(3, np.int64)}),
        packed(**WHOLE | {"images": IMAGES.astype(np.float32)}),
        packed(**WHOLE | {"attacked_0": np.full((2, 1, 4, 4), np.nan, np.float32)}),
        packed(**WHOLE | {"attacked_0": np.zeros((2, 1, 4, 5), np.float32)}),
    ],
    ids=["empty", "cut", "few", "pickle", "attacks", "classes", "eps", "labels", "count", "type", "nan", "shape"],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """In a sentence, and nothing in it is unpickled."""
    (tmp_path / "kept.npz").write_bytes(content)
    with pytest.raises(PicturesInvalid, match=r"^kept\.npz "):
        read_kept(tmp_path / "kept.npz")


def test_a_file_that_claims_to_be_huge_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Zeros pack well: a megabyte of file may be a gigabyte of pictures."""
    monkeypatch.setattr(kept_pictures, "_MOST_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "kept.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(1 + (1 << 20)))
    with pytest.raises(PicturesInvalid, match="more than 1 MiB"):
        read_kept(tmp_path / "kept.npz")
