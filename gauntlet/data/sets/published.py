"""What is known without their files of the data sets that torchvision reads. No torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gauntlet.checks.names import counted
from gauntlet.spec.kinds import PublishedDataset, Split

# Below the data root; what lies in it is laid out as torchvision has it.
TORCHVISION = "torchvision"


@dataclass(frozen=True)
class Published:
    """A data set that torchvision reads: all of its files, where they come from, how many images of each class.

    `place` says in a sentence where the files lie in `TORCHVISION`.
    """

    title: str
    place: str
    files: tuple[str, ...]
    source: str
    megabytes: int
    images: Mapping[Split, tuple[int, ...]]

    def is_there(self, data_root: Path) -> bool:
        """Whether all files are seen below the data root; whether they are whole is told when they are read."""
        return are_seen(data_root / TORCHVISION, self.files)

    @property
    def to_be_fetched(self) -> str:
        """The sentence of a data set that is not there."""
        return (
            f"{self.title} is not below the data root yet: the first run fetches it ({self.megabytes} MB, from "
            f"{self.source}) where the network allows."
        )

    def other_numbers(self, found: Mapping[Split, int]) -> tuple[str, ...]:
        """A sentence for each split that has other numbers of images than were published."""
        noun: Mapping[Split, str] = {"train": "training image", "test": "test image"}
        return tuple(
            f"There are {counted(images, noun[split])} of {self.title} here; {sum(self.images[split]):,} are published."
            for split, images in found.items()
            if images != sum(self.images[split])
        )


def are_seen(folder: Path, files: Iterable[str]) -> bool:
    """Whether all files are there, as far as this process may look."""
    try:
        return all((folder / file).is_file() for file in files)
    except PermissionError:
        return False


def _idx(folder: str) -> tuple[str, ...]:
    kinds = ("images-idx3-ubyte", "labels-idx1-ubyte")
    return tuple(f"{folder}/{part}-{kind}" for part in ("train", "t10k") for kind in kinds)


_PUBLISHED: Mapping[str, Published] = {
    "cifar10": Published(
        title="CIFAR-10",
        place="the folder cifar-10-batches-py",
        files=tuple(
            f"cifar-10-batches-py/{name}"
            for name in ("batches.meta", *(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
        ),
        source="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        megabytes=170,
        images={"train": (5_000,) * 10, "test": (1_000,) * 10},
    ),
    "cifar100": Published(
        title="CIFAR-100",
        place="the folder cifar-100-python",
        files=("cifar-100-python/meta", "cifar-100-python/train", "cifar-100-python/test"),
        source="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        megabytes=169,
        images={"train": (500,) * 100, "test": (100,) * 100},
    ),
    "svhn": Published(
        title="SVHN",
        place="the files train_32x32.mat and test_32x32.mat",
        files=("train_32x32.mat", "test_32x32.mat"),
        source="http://ufldl.stanford.edu/housenumbers/",
        megabytes=246,
        images={
            "train": (4_948, 13_861, 10_585, 8_497, 7_458, 6_882, 5_727, 5_595, 5_045, 4_659),
            "test": (1_744, 5_099, 4_149, 2_882, 2_523, 2_384, 1_977, 2_019, 1_660, 1_595),
        },
    ),
    "mnist": Published(
        title="MNIST",
        place="the folder MNIST/raw, with its four files unpacked",
        files=_idx("MNIST/raw"),
        source="https://ossci-datasets.s3.amazonaws.com/mnist/",
        megabytes=12,
        images={
            "train": (5_923, 6_742, 5_958, 6_131, 5_842, 5_421, 5_918, 6_265, 5_851, 5_949),
            "test": (980, 1_135, 1_032, 1_010, 982, 892, 958, 1_028, 974, 1_009),
        },
    ),
    "fashion_mnist": Published(
        title="FashionMNIST",
        place="the folder FashionMNIST/raw, with its four files unpacked",
        files=_idx("FashionMNIST/raw"),
        source="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        megabytes=31,
        images={"train": (6_000,) * 10, "test": (1_000,) * 10},
    ),
    "kmnist": Published(
        title="KMNIST",
        place="the folder KMNIST/raw, with its four files unpacked",
        files=_idx("KMNIST/raw"),
        source="http://codh.rois.ac.jp/kmnist/",
        megabytes=21,
        images={"train": (6_000,) * 10, "test": (1_000,) * 10},
    ),
}


def published(spec: PublishedDataset) -> Published:
    """What is known of that data set."""
    return _PUBLISHED[spec.name]
