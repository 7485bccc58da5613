"""Corruptions against values worked out by hand, and what holds of all of them."""

import io
import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from gauntlet.attacks.corruption_strengths import STRENGTHS
from gauntlet.attacks.corruptions import corrupt, corrupted
from gauntlet.spec.evaluations.corruptions import CorruptionKind, CorruptionsSpec

KINDS: tuple[CorruptionKind, ...] = get_args(CorruptionKind)
CIFAR = STRENGTHS["cifar10-c"]
_DRAWN = {"gaussian_noise", "shot_noise", "impulse_noise", "glass_blur", "fog", "elastic_transform"}


def flat(value: int, side: int = 32, channels: int = 3) -> NDArray[np.uint8]:
    return np.full((side, side, channels), value, dtype=np.uint8)


def texture(side: int = 32, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(256, size=(side, side, channels), dtype=np.uint8)


def at(image: NDArray[np.uint8], kind: CorruptionKind, severity: int) -> NDArray[np.int64]:
    return corrupt(image, kind, CIFAR[kind][severity - 1], np.random.default_rng(1)).astype(np.int64)


def test_what_is_too_bright_is_white_and_what_is_too_dark_black() -> None:
    """Half of the noise on either is cut off; nothing comes out at the other end."""
    assert at(flat(255), "gaussian_noise", 5).min() > 128
    assert at(flat(0), "gaussian_noise", 5).max() < 128


@pytest.mark.parametrize("severity", [1, 2, 3, 4, 5])
def test_a_severity_is_a_line_of_the_strengths(severity: int) -> None:
    """The first is the weakest."""
    found = corrupted(tensor(texture()), "jpeg_compression", severity, "cifar10-c", 0)
    assert np.array_equal((found[0].permute(1, 2, 0) * 255).round(), at(texture(), "jpeg_compression", severity))


def test_each_image_and_severity_has_noise_of_its_own() -> None:
    """Where they shared it, one pixel's would have the same sign in all."""
    images = tensor(flat(127), flat(128))
    signs = [(corrupted(images, "gaussian_noise", severity, "cifar10-c", 0) > images).float() for severity in (1, 5)]
    for one, other in ((signs[0][0], signs[0][1]), (signs[0][0], signs[1][0])):
        assert 0.45 < (one == other).float().mean() < 0.55


def tensor(*images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.04), (3, 0.08), (5, 0.10)])
def test_gaussian_noise_has_its_deviation_and_no_mean(severity: int, deviation: float) -> None:
    """Of 30,000 values of a half: the mean within 4 standard errors (and half a level), the deviation within 2 %."""
    noise = at(flat(128, 100), "gaussian_noise", severity) + 0.5 - 128
    assert abs(noise.mean()) < 4 * 255 * deviation / math.sqrt(noise.size) + 0.1
    assert noise.std() == pytest.approx(255 * deviation, rel=0.02)


@pytest.mark.parametrize(("severity", "photons"), [(1, 500), (5, 50)])
def test_shot_noise_is_a_count_of_photons(severity: int, photons: int) -> None:
    """Its variance is the light over the photons of white; black stays black."""
    noise = (at(flat(102, 100), "shot_noise", severity) + 0.5 - 102) / 255
    assert noise.var() == pytest.approx(0.4 / photons, rel=0.05)
    assert not at(flat(0), "shot_noise", severity).any()


def test_impulse_noise_strikes_a_share_with_black_and_white() -> None:
    """Seven of a hundred values become 0 or 255, half of them each; the others stay."""
    struck = at(flat(100, 200), "impulse_noise", 5)
    shares = [(struck == level).mean() for level in (0, 255, 100)]
    assert shares == pytest.approx([0.035, 0.035, 0.93], abs=0.003)


def test_brightness_raises_the_value_and_keeps_the_hue() -> None:
    """(200, 100, 50) with 0.05 more: the value is 200/255 + 0.05 = 212.75/255, and all grow by the same factor."""
    image = np.array([[[200, 100, 50], [0, 0, 0], [250, 125, 0]]], dtype=np.uint8)
    assert at(image, "brightness", 1)[0].tolist() == [[212, 106, 53], [12, 12, 12], [255, 127, 0]]
    assert at(flat(100, 2, 1), "brightness", 5).tolist() == [[[176]] * 2] * 2  # 100 + 0.3 · 255 = 176.5


def test_contrast_draws_values_to_the_mean_of_their_channel() -> None:
    """0 and 200 about their mean of 100, at 0.75, 0.5 and 0.15: 25 and 175, 50 and 150, 85 and 115."""
    image = np.array([[[0, 10, 7], [200, 10, 9]]], dtype=np.uint8)
    for severity, wanted in ((1, (25, 175)), (2, (50, 150)), (5, (85, 115))):
        found = at(image, "contrast", severity)[0, :, 0]
        # A product that ought to be whole may lie a bit below, and is cut.
        assert all(0 <= want - seen <= 1 for want, seen in zip(wanted, found, strict=True))
    assert at(image, "contrast", 5)[0, :, 1].tolist() == pytest.approx([10, 10], abs=1)


def test_pixelate_averages_boxes() -> None:
    """Ten pixels at 0.65 become six and ten again; at a half each box of two is its mean, at a tenth all of four.

    Down as across.
    """
    assert len(np.unique(at(texture(10), "pixelate", 5).reshape(-1, 3), axis=0)) <= 100
    row = np.array([[[10], [20], [40], [60]]] * 4, dtype=np.uint8)
    for axes in ((0, 1, 2), (1, 0, 2)):
        for share, wanted in ((0.5, [15, 15, 50, 50]), (0.1, [33] * 4)):
            found = corrupt(row.transpose(axes), "pixelate", (share,), np.random.default_rng(0)).transpose(axes)
            assert found[:, :, 0].tolist() == [wanted] * 4


def test_jpeg_is_pillows_at_its_quality() -> None:
    """The bytes that come back are those of a file of quality 80 to 40."""
    image = texture()
    for severity, quality in enumerate((80, 65, 58, 50, 40), 1):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        assert np.array_equal(at(image, "jpeg_compression", severity), np.asarray(Image.open(file)))


def test_a_disk_of_one_and_a_half_pixels_blurs_nine() -> None:
    """Radius 1.5 holds the nine pixels around; its softness of 0.1 changes nothing."""
    image = flat(0, 9, 1)
    image[4, 4] = 252
    blurred = at(image, "defocus_blur", 5)[:, :, 0]
    assert set(blurred[3:6, 3:6].ravel().tolist()) <= {27, 28}  # 252 / 9 = 28, and a bit below is cut
    assert blurred.sum() == blurred[3:6, 3:6].sum()


def test_glass_takes_each_value_from_near_by() -> None:
    """Severity 1 does not blur: every pixel is one of those up to one above and left of it, and the border stays."""
    image = texture()[:, :, :1]
    shuffled = at(image, "glass_blur", 1)
    assert np.array_equal(shuffled[:2], image[:2])
    moved = 0
    for row in range(2, 32):
        for column in range(2, 32):
            near = image[row - 1 : row + 1, column - 1 : column + 1, 0].ravel().tolist()
            assert shuffled[row, column, 0] in {level + cut for level in near for cut in (0, -1)}
            moved += shuffled[row, column, 0] not in {int(image[row, column, 0]), int(image[row, column, 0]) - 1}
    assert 500 < moved < 800  # three of four of 900


def test_zoom_keeps_the_middle_and_what_is_flat() -> None:
    """An even picture stays so. A corner leaves where 32 / factor rounds up to 30: it stays in 8 of 27 pictures."""
    assert at(flat(90), "zoom_blur", 5).min() >= 89
    image = flat(0)
    image[0, 0] = 255
    assert at(image, "zoom_blur", 5)[0, 0, 0] == 255 * 8 // 27


def test_fog_hides_a_share_of_the_contrast() -> None:
    """A flat picture of level m becomes (x + c · cloud) m / (m + c): between m² / (m + c) and m, and it varies."""
    fogged = at(flat(204), "fog", 3) / 255
    level, thickness = 0.8, 0.75
    assert fogged.min() == pytest.approx(level**2 / (level + thickness), abs=1 / 255)
    assert fogged.max() == pytest.approx(level, abs=1 / 255)
    assert fogged.std() > 0.03


def test_an_elastic_picture_is_moved_by_little() -> None:
    """A ramp is its own coordinate: no pixel comes from farther than its corners and its displacement allow."""
    ramp = np.repeat(np.arange(0, 256, 8, dtype=np.uint8)[None, :, None], 32, axis=0)
    moved = np.abs(at(ramp, "elastic_transform", 5) - ramp.astype(np.int64))[8:24, 8:24] / 8
    assert 0.1 < moved.max() < 32 * (0.03 * 4 + 0.1)
    assert at(flat(77), "elastic_transform", 5).min() >= 76


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_is_an_images_own(kind: CorruptionKind) -> None:
    """The same in any batch; another seed or severity draws otherwise, and what draws nothing has one result."""
    images = [texture(), flat(128), texture()[::-1].copy()]

    def run(*some: Any, severity: int = 5, seed: int = 0) -> torch.Tensor:
        return corrupted(tensor(*some), kind, severity, "cifar10-c", seed)

    whole = run(*images)
    assert torch.equal(run(images[2], images[0])[1], whole[0])
    assert torch.equal(whole * 255, (whole * 255).round())
    assert torch.equal(run(*images, seed=1), whole) == (kind not in _DRAWN)
    assert not torch.equal(run(*images, severity=1), whole)


@pytest.mark.parametrize("strengths", ["cifar10-c", "imagenet-c"])
@pytest.mark.parametrize("shape", [(8, 8, 1), (13, 10, 3)])
def test_every_picture_can_be_corrupted(strengths: Any, shape: tuple[int, int, int]) -> None:
    """Grey or in colours, smaller than a kernel and not square; its shape is kept."""
    image = np.random.default_rng(0).integers(256, size=shape, dtype=np.uint8)
    for kind in KINDS:
        for severity in (1, 3, 5):
            found = corrupted(tensor(image), kind, severity, strengths, 0)
            assert found.shape == (1, shape[2], *shape[:2])


def test_strengths_follow_from_the_size() -> None:
    """CIFAR-10-C's belong to 32 × 32 pixels, ImageNet-C's to all others, unless a spec says so."""
    spec = CorruptionsSpec()
    assert [spec.strengths_for(*shape) for shape in ((32, 32), (32, 31), (224, 224))] == [
        "cifar10-c",
        "imagenet-c",
        "imagenet-c",
    ]
    assert CorruptionsSpec(strengths="cifar10-c").strengths_for(64, 64) == "cifar10-c"
    assert all(len(five) == 5 for table in STRENGTHS.values() for five in table.values())
