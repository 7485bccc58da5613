"""How strong each corruption is at the severities 1 to 5: the constants of CIFAR-10-C and of ImageNet-C.

They are those of Hendrycks & Dietterich 2019 (arXiv 1903.12261) as the programs have them that made both data sets.
Lengths are in pixels, but for those of elastic transforms, which are shares of the image's side.
"""

from collections.abc import Mapping
from typing import Final

from gauntlet.spec.evaluations.corruptions import CorruptionKind, Strengths

# The program for ImageNet-C has 244 where images have 224 pixels.
_OF_224 = 244 / 224

_Five = tuple[tuple[float, ...], ...]

STRENGTHS: Final[Mapping[Strengths, Mapping[CorruptionKind, _Five]]] = {
    "cifar10-c": {
        # Standard deviation.
        "gaussian_noise": ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)),
        # Photons of a white pixel.
        "shot_noise": ((500,), (250,), (100,), (75,), (50,)),
        # Share of the values that become 0 or 1.
        "impulse_noise": ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),
        # Radius of the disk, and standard deviation of what softens its edge.
        "defocus_blur": ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        # Standard deviation of the blur, distance, times.
        "glass_blur": ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
        # Where the zoom ends, and its steps.
        "zoom_blur": ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
        # How thick, and how fast its detail falls with its size.
        "fog": ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        # What is added to the value of HSV.
        "brightness": ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),
        # Factor of the distance from the mean.
        "contrast": ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
        # Displacement, standard deviation of what smooths it, and how far the corners of a triangle move.
        "elastic_transform": (
            (0, 0, 0.08),
            (0.05, 0.2, 0.07),
            (0.08, 0.06, 0.06),
            (0.1, 0.04, 0.05),
            (0.1, 0.03, 0.03),
        ),
        # Share of the side that is left.
        "pixelate": ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),
        # Quality.
        "jpeg_compression": ((80,), (65,), (58,), (50,), (40,)),
    },
    "imagenet-c": {
        "gaussian_noise": ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
        "shot_noise": ((60,), (25,), (12,), (5,), (3,)),
        "impulse_noise": ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
        "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
        "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
        "zoom_blur": ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
        "brightness": ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
        "contrast": ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
        "elastic_transform": tuple(
            tuple(_OF_224 * share for share in shares)
            for shares in ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02))
        ),
        "pixelate": ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
        "jpeg_compression": ((25,), (18,), (15,), (10,), (7,)),
    },
}
