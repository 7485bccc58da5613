"""Pictures as people have them, brought to one plain form; for image folders and for uploads alike."""

import numpy as np
from PIL import Image, ImageOps

_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")
_TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")

# What Pillow raises for files that are damaged, hostile or no pictures at all.
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def plain(image: Image.Image) -> Image.Image:
    """The picture upright as its EXIF entry says, grey (L) or RGB, 8 bits a channel, transparency over white.

    Raises:
        OSError, SyntaxError, ValueError: the picture cannot be decoded (all in `UNREADABLE`).
    """
    image.load()
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception:  # noqa: BLE001  # Pillow's EXIF reader raises whatever a damaged entry leads to
        # The picture itself was read; without a readable entry it stands as it is.
        upright = image
    if upright.mode in _SIXTEEN_BIT:
        # Pillow's own conversion cuts at 255 instead of scaling.
        return Image.fromarray((np.asarray(upright, dtype=np.uint32) // 257).astype(np.uint8))
    if upright.mode in _TRANSPARENT or "transparency" in upright.info:
        picture = upright.convert("RGBA")
        paper = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(paper, picture).convert("RGB")
    return upright.convert("L" if upright.mode in ("1", "L") else "RGB")
