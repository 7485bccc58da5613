"""Uploaded pictures: only PNG and JPEG, and bounded before they are decoded."""

import io
import warnings

from PIL import Image, UnidentifiedImageError

from gauntlet.pictures import UNREADABLE, plain
from service.errors import UploadRejected

_FORMATS = ("PNG", "JPEG")


def decode(content: bytes, pointer: str, *, max_pixels: int) -> Image.Image:
    """The picture in the plain form of `gauntlet.pictures`.

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
    except UNREADABLE as error:
        raise UploadRejected(422, pointer, "The image is damaged.") from error
    with image:
        if image.width * image.height > max_pixels:
            raise UploadRejected(422, pointer, f"The image has more than {max_pixels} pixels.")
        if getattr(image, "n_frames", 1) != 1:
            raise UploadRejected(422, pointer, "The image is animated.")
        try:
            return plain(image)
        except UNREADABLE as error:
            raise UploadRejected(422, pointer, "The image is damaged.") from error
