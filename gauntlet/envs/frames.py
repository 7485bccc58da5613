"""Frames of an environment, drawn with Pillow: an image, and how it was answered."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gauntlet.envs.classification import Judged, Shown

Frame = NDArray[np.uint8]
RenderMode = Literal["rgb_array"]
FRAMES_PER_SECOND = 2

# In pixels. Images are enlarged by a whole factor, so that each of their pixels stays a square.
_SIDE = 256
_BORDER = 8
_CAPTION = 56
_TEXT = 18

_BACKGROUND = (255, 255, 255)
_WAITING = (128, 128, 128)
_RIGHT = (0, 128, 55)
_WRONG = (200, 30, 30)


def draw_frames(latest: Shown | Judged, classes: Sequence[str]) -> tuple[Frame, ...]:
    """A frame of each slot, uint8 [h, w, 3]: grey around an image that waits, green or red around one answered."""
    if isinstance(latest, Shown):
        return tuple(
            _frame(image, _WAITING, f"label {classes[label]}")
            for image, label in zip(latest.observations, latest.labels, strict=True)
        )
    answered = zip(latest.shown.observations, latest.shown.labels, latest.actions, latest.correct, strict=True)
    return tuple(
        _frame(image, _RIGHT if correct else _WRONG, f"predicted {classes[action]}\nlabel {classes[label]}")
        for image, label, action, correct in answered
    )


def _frame(image: NDArray[np.float32], colour: tuple[int, int, int], caption: str) -> Frame:
    pixels = np.rint(image * 255).astype(np.uint8).transpose(1, 2, 0)
    height, width, channels = pixels.shape
    factor = max(1, _SIDE // max(height, width))
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels).convert("RGB")
    picture = picture.resize((width * factor, height * factor), Image.Resampling.NEAREST)

    frame = Image.new("RGB", (picture.width + 2 * _BORDER, picture.height + 2 * _BORDER + _CAPTION), _BACKGROUND)
    frame.paste(colour, (0, 0, frame.width, picture.height + 2 * _BORDER))
    frame.paste(picture, (_BORDER, _BORDER))
    centre = frame.width / 2, frame.height - _CAPTION / 2
    font = ImageFont.load_default(_TEXT)
    ImageDraw.Draw(frame).text(centre, caption, fill=colour, font=font, anchor="mm", align="center")
    return np.array(frame)
