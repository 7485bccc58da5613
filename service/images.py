"""Uploaded pictures: only PNG and JPEG, and bounded before they are decoded."""

import io
import warnings

from PIL import Image, UnidentifiedImageError

from gauntlet.data.pictures import plain
from service.errors import UploadRejected

_FORMATS = ("PNG", "JPEG")


def decode(content: bytes, pointer: str, *, max_pixels: int) -> Image.Image:
    """The picture in the plain form of `gauntlet.data.pictures`.

    Raises:
        UploadRejected: 415 if it is no PNG or JPEG, 422 if it is damaged, animated or has more than `max_pixels`.
    """
    with warnings.catch_warnings():
        # What Pillow only warns of is either within our own bounds or no matter, such as a damaged EXIF entry.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                _require_acceptable(image, pointer, max_pixels)
                return plain(image)
        except UploadRejected:
            raise
        except UnidentifiedImageError as error:
            raise UploadRejected(415, pointer, "The file is no PNG or JPEG image.") from error
        except Image.DecompressionBombError as error:
            raise _too_many(pointer, max_pixels) from error
        except Exception as error:  # a crafted file makes Pillow's parsers raise all kinds of errors
            raise UploadRejected(422, pointer, "The image is damaged.") from error


def _require_acceptable(image: Image.Image, pointer: str, max_pixels: int) -> None:
    """Check what the header says, before anything is decoded."""
    if image.width * image.height > max_pixels:
        raise _too_many(pointer, max_pixels)
    # A phone's JPEG may carry a second picture (MPO), such as a depth map; the first is the photograph.
    if image.format == "PNG" and getattr(image, "n_frames", 1) != 1:
        raise UploadRejected(422, pointer, "The image is animated.")


def _too_many(pointer: str, max_pixels: int) -> UploadRejected:
    return UploadRejected(422, pointer, f"The image has more than {max_pixels} pixels.")
