"""Uploaded pictures: bounded before they are decoded."""

from gauntlet.data.pictures import Picture, read_picture
from gauntlet.errors import PictureFormatRefused, PictureUnreadable
from service.errors import UploadRejected


def decode(content: bytes, name: str, pointer: str, *, max_pixels: int) -> Picture:
    """The picture in the plain form of `gauntlet.data.pictures`.

    Raises:
        UploadRejected: 415 if it is in no format that is taken, 422 if it cannot be used; the message names the file.
    """
    try:
        return read_picture(content, most_pixels=max_pixels)
    except PictureUnreadable as error:
        status = 415 if isinstance(error, PictureFormatRefused) else 422
        raise UploadRejected(status, pointer, f"{name}: {error}") from error
