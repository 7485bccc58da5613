"""`python -m benchmarks.pictures.environment_frame PICTURE`: a frame that the environment draws, for its page.

The first seven that it shows, taken for a nought.
"""

import argparse
from pathlib import Path

from PIL import Image

from gauntlet.envs.environment import ImageClassificationEnv

_LABEL, _ANSWER = 7, 0


def main() -> None:
    """Answer test digits until the one is there, and keep its frame."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    environment = ImageClassificationEnv(dataset="digits", split="test", render_mode="rgb_array")
    _, info = environment.reset(seed=0)
    while info["label"] != _LABEL:
        environment.step(_ANSWER)
        _, info = environment.reset()
    environment.step(_ANSWER)
    frame = environment.render()
    assert frame is not None  # it was asked to draw
    Image.fromarray(frame).quantize().save(options.picture, optimize=True)


if __name__ == "__main__":
    main()
