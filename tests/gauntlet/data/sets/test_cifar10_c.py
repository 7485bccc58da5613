"""CIFAR-10-C from files laid out as published, sparse on the disk."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gauntlet.data.datasets import describe_dataset, load_split
from gauntlet.data.decoded.single_images import read_example
from gauntlet.data.survey import survey
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.kinds import Cifar10C, dataset_title

FOG = Cifar10C(corruption="fog", severity=3)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fog at five severities: the first pixel of each image says in red its severity, in green and blue its place."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "CIFAR-10-C"
    folder.mkdir()
    images = np.lib.format.open_memmap(folder / "fog.npy", "w+", np.uint8, (50_000, 32, 32, 3))
    place = np.arange(10_000)
    for severity in range(1, 6):
        first = images[(severity - 1) * 10_000 : severity * 10_000, 0, 0]
        first[:, 0], first[:, 1], first[:, 2] = severity, place // 256, place % 256
    np.save(folder / "labels.npy", np.tile(place % 10, 5).astype(np.uint8))
    return root


def test_a_severity_is_its_block_in_the_test_sets_order(root: Path) -> None:
    """Ten thousand images, channels first, with CIFAR-10's classes; a single one is found as well."""
    images, classes = load_split(FOG, "test", root)
    assert images.images.shape == (10_000, 3, 32, 32)
    assert images.images[300, :, 0, 0].tolist() == [3, 1, 44]
    assert images.labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert classes == KNOWN_CLASSES["cifar10"]
    example = read_example(FOG, 4, root)
    assert example is not None
    assert example.pixels[:, 0, 0].tolist() == [3, 0, 4]
    assert dataset_title(FOG) == "cifar10_c fog 3"


def test_what_lies_there_is_seen_without_being_read(root: Path) -> None:
    """The test images are counted, and a corruption whose file is missing says where it comes from."""
    seen = survey(FOG, root, ("test",))
    assert seen is not None
    assert seen.test is not None
    assert (seen.test.images, seen.faults, seen.notes) == (10_000, (), ())
    frost = Cifar10C(corruption="frost", severity=1)
    for description in (survey(frost, root), describe_dataset(frost, root)):
        assert description is not None
        (fault,) = description.faults
        assert "Put frost.npy and labels.npy into its folder CIFAR-10-C" in fault
    with pytest.raises(DatasetUnavailable, match=r"frost\.npy"):
        load_split(frost, "test", root)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            np.zeros((50_000, 3), dtype=np.uint8),
            r"snow\.npy holds uint8 \[50000, 3\] and not uint8 \[50000, 32, 32, 3\]",
        ),
        (np.array([{}], dtype=object), r"cannot be read as NumPy's array file: .*Python objects"),
    ],
)
def test_another_file_of_that_name_is_refused(
    root: Path, content: NDArray[np.generic], said: str, tmp_path: Path
) -> None:
    """An array of another form, or one that holds Python's objects, which are never loaded."""
    folder = tmp_path / "CIFAR-10-C"
    folder.mkdir()
    (folder / "labels.npy").symlink_to(root / "CIFAR-10-C" / "labels.npy")
    np.save(folder / "snow.npy", content, allow_pickle=True)
    with pytest.raises(DatasetUnavailable, match=said):
        load_split(Cifar10C(corruption="snow", severity=1), "test", tmp_path)
