"""Uploaded pictures: only PNG and JPEG, bounded before they are decoded, and brought to plain grey or RGB."""

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from service.errors import UploadRejected

_FORMATS = ("PNG", "JPEG")
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")


def decode(content: bytes, pointer: str, *, max_pixels: int) -> Image.Image:
    """The picture upright, in mode L or RGB, 8 bits a channel, transparency over white.

    Raises:
        UploadRejected: 415 if it is no PNG or JPEG, 422 if it is damaged, animated or has more than `max_pixels`.
    """
    try:
        with warnings.catch_warnings():
            # Pillow's own bound only warns; ours is below and exact.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(content), formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise UploadRejected(415, pointer, "The file is no PNG or JPEG image.") from error
    except Image.DecompressionBombError as error:
        raise UploadRejected(422, pointer, f"The image has more than {max_pixels} pixels.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise UploadRejected(422, pointer, "The image is damaged.") from error
    with image:
        if image.width * image.height > max_pixels:
            raise UploadRejected(422, pointer, f"The image has more than {max_pixels} pixels.")
        if getattr(image, "n_frames", 1) != 1:
            raise UploadRejected(422, pointer, "The image is animated.")
        try:
            image.load()
            return _flatten(ImageOps.exif_transpose(image))
        except (OSError, SyntaxError, ValueError) as error:
            raise UploadRejected(422, pointer, "The image is damaged.") from error


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode in _SIXTEEN_BIT:
        # Pillow's own conversion cuts at 255 instead of scaling.
        return Image.fromarray((np.asarray(image, dtype=np.uint32) // 257).astype(np.uint8))
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        picture = image.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")
