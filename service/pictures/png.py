"""Pixels as PNG."""

import io

import numpy as np
from PIL import Image


def as_png(pixels: bytes, shape: tuple[int, int, int]) -> bytes:
    """A PNG of uint8 pixels [channels, height, width], grey or RGB."""
    levels = np.frombuffer(pixels, dtype=np.uint8).reshape(shape)
    picture = Image.fromarray(levels[0] if shape[0] == 1 else np.ascontiguousarray(levels.transpose(1, 2, 0)))
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
