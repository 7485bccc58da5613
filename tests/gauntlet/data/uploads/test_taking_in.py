"""Archives become data sets: which pictures are for what, what is said of them, and what cannot become one."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image

from gauntlet.checks.description import DatasetContents, Repeated
from gauntlet.data.uploads.bounds import Bounds
from gauntlet.data.uploads.taking_in import take_in
from gauntlet.errors import ArchiveRefused
from gauntlet.spec.asked.uploads import SplitDraw
from tests.packing import class_folders, picture, two_splits, write_tar, write_zip


def taken(
    tmp_path: Path, files: Mapping[str, bytes], draw: SplitDraw | None = None, name: str = "made"
) -> tuple[DatasetContents, Path]:
    archive = write_zip(tmp_path / f"{name}.zip", files)
    folder = tmp_path / name
    return take_in(archive, folder, "pets", draw, Bounds()), folder


def images(folder: Path) -> set[str]:
    return {str(path.relative_to(folder / "images")) for path in (folder / "images").rglob("*") if path.is_file()}


@pytest.mark.parametrize("within", ["", "pets/", "data/pets/"])
def test_splits_are_taken_as_the_folders_say(within: str, tmp_path: Path) -> None:
    """With any folders around them; nothing else is left of the archive."""
    files = {f"{within}{name}": content for name, content in two_splits().items()}
    made, folder = taken(tmp_path, files)
    assert images(folder) == set(two_splits())
    assert {path.name for path in folder.iterdir()} == {"images", "thumbnails"}
    assert made.description.train is not None
    assert made.description.test is not None
    assert [(each.name, each.images) for each in made.description.train.classes] == [("cat", 4), ("dog", 4)]
    assert made.description.test.images == 4
    assert made.description.in_both == Repeated()
    assert made.bytes == sum(map(len, two_splits().values()))


def test_what_is_said_of_the_pictures(tmp_path: Path) -> None:
    """Sizes, doubles between training and test, what was left out and why, and three small pictures of each class."""
    extra = {
        "test/dog/again.png": picture(1),
        "train/cat/wide.png": picture(9, (300, 30)),
        "train/cat/broken.png": picture(8)[:40],
        "train/stray.png": picture(7),
        "readme.txt": b"pets",
    }
    made, folder = taken(tmp_path, two_splits() | extra)
    assert made.description.in_both == Repeated(images=1, examples=("test/dog/again.png is train/cat/1.png",))
    assert {(each.reason, each.examples) for each in made.skipped} == {
        (".txt, no pictures", ("readme.txt",)),
        ("outside of a class folder", ("train/stray.png",)),
        ("left out, for the PNG is damaged, or of a kind that is not taken", ("train/cat/broken.png",)),
    }
    assert made.description.faults == ()
    assert made.description.train is not None
    assert made.description.train.images == 9
    assert made.sizes.smallest == (12, 12)
    assert made.sizes.largest == (300, 30)
    assert (made.sizes.commonest, made.sizes.commonest_images) == ((12, 12), 13)
    assert [each.label for each in made.thumbnails] == ["cat"] * 3 + ["dog"] * 3
    small = sorted((folder / "thumbnails").iterdir())
    assert [path.name for path in small] == [f"{number}.png" for number in range(6)]
    for path in small:
        with Image.open(path) as image:
            assert image.format == "PNG"
            assert max(image.size) <= 96


def test_class_folders_are_split_class_by_class(tmp_path: Path) -> None:
    """A share of each class, at least one picture; none is in both, and none is lost."""
    files = class_folders(["cat", "dog"], 10, within="pets/") | class_folders(["emu"], 2, 900, within="pets/")
    made, folder = taken(tmp_path, files, SplitDraw(test_fraction=0.2))
    assert made.description.test is not None
    assert [(each.name, each.images) for each in made.description.test.classes] == [("cat", 2), ("dog", 2), ("emu", 1)]
    split = [tuple(path.split("/", 1)) for path in images(folder)]
    assert sorted(f"pets/{rest}" for _, rest in split) == sorted(files)


def test_the_split_follows_from_contents_and_seed_alone(tmp_path: Path) -> None:
    """Other names, another order and another kind of archive change nothing; another seed does."""
    files = class_folders(["cat", "dog"], 10)
    renamed = {name.replace("/", "/x"): content for name, content in reversed(files.items())}
    tests: list[set[bytes]] = []
    for name, each, seed in (("a", files, 0), ("b", renamed, 0), ("c", files, 1)):
        archive = write_tar(tmp_path / f"{name}.tar", each, "w:gz")
        take_in(archive, tmp_path / name, "pets", SplitDraw(test_fraction=0.3, seed=seed), Bounds())
        tests.append({path.read_bytes() for path in (tmp_path / name / "images/test").rglob("*.png")})
    assert tests[0] == tests[1]
    assert tests[0] != tests[2]


def test_pictures_of_one_content_are_never_on_both_sides(tmp_path: Path) -> None:
    """Half of each class is the same picture many times: it goes one way."""
    files = class_folders(["cat", "dog"], 6)
    copied = {"cat": picture(77), "dog": picture(78)}
    files |= {f"{name}/copy{number}.png": content for name, content in copied.items() for number in range(6)}
    copies = set()
    for seed in range(5):
        made, _ = taken(tmp_path, files, SplitDraw(test_fraction=0.3, seed=seed), f"seed{seed}")
        for label, content in copied.items():
            tests = tmp_path / f"seed{seed}/images/test" / label
            copies.add(sum(path.read_bytes() == content for path in tests.iterdir()))
        assert made.description.test is not None
    assert copies == {0, 6}


def test_a_picture_of_several_classes_is_on_one_side(tmp_path: Path) -> None:
    """It would be tested under one name and trained on under the other: it is for training, and the shares are kept."""
    files = class_folders(["cat"], 10) | class_folders(["dog"], 4, 900)
    files |= {f"{name}/both.png": picture(77) for name in ("cat", "dog")}
    for seed in range(12):
        made, folder = taken(tmp_path, files, SplitDraw(test_fraction=0.4, seed=seed), f"seed{seed}")
        assert {path for path in images(folder) if path.endswith("both.png")} == {
            "train/cat/both.png",
            "train/dog/both.png",
        }
        assert made.description.in_both is not None
        assert made.description.in_both.images == 0
        assert made.description.test is not None
        assert [each.images for each in made.description.test.classes] == [4, 2]


def test_equal_data_has_an_equal_digest(tmp_path: Path) -> None:
    """In whichever archive it comes; a picture or a name more, or another class, makes another."""
    files = two_splits()
    first, _ = taken(tmp_path, files)
    write_tar(tmp_path / "archive.tar", dict(reversed(files.items())))
    again = take_in(tmp_path / "archive.tar", tmp_path / "again", "other", None, Bounds())
    assert again.sha256 == first.sha256
    for name, change in {
        "more": files | {"train/cat/new.png": picture(99)},
        "other": files | {"train/cat/0.png": picture(99)},
        "renamed": {path.replace("cat/0", "cat/x"): content for path, content in files.items()},
    }.items():
        assert taken(tmp_path, change, name=name)[0].sha256 != first.sha256


@pytest.mark.parametrize(
    ("files", "fraction", "told"),
    [
        ({"readme.txt": b""}, None, "holds no picture"),
        (
            class_folders(["cat", "dog"], 2),
            None,
            r"no folder train and no folder test; there are cat, dog.*test_fraction",
        ),
        (class_folders(["train/cat", "val/cat"], 2), None, "no folder test, but val: rename it to test"),
        (two_splits(), 0.2, r"training and test already \(test, train\)"),
        ({"1.png": picture(1), "2.png": picture(2)}, 0.2, "no class folders"),
        (two_splits(["cat"]), None, "only one class, cat, in train"),
        (class_folders(["cat"], 5), 0.5, "only one class, cat"),
        (class_folders(["cat"], 5) | {"dog/1.png": picture(88)}, 0.5, "only one picture of the class dog"),
        (
            class_folders(["cat"], 5) | {f"dog/{number}.png": picture(number) for number in range(2)},
            0.5,
            "All pictures of the class dog lie in other classes too",
        ),
        (class_folders(["Cat", "cat", "dog"], 3), 0.5, "Cat, cat differ in capitals only"),
        (two_splits() | {"train/emu/1.png": picture(66)}, None, "emu"),
        (
            two_splits() | {f"{split}/emu/1.png": b"" for split in ("train", "test")},
            None,
            "no picture of the class emu",
        ),
    ],
)
def test_what_is_no_data_set_is_told_in_a_sentence(
    files: dict[str, bytes], fraction: float | None, told: str, tmp_path: Path
) -> None:
    """It names the folders that are there, and says what to do."""
    draw = None if fraction is None else SplitDraw(test_fraction=fraction)
    with pytest.raises(ArchiveRefused, match=told):
        taken(tmp_path, files, draw)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    """Where class folders are to be split, one of them may have a name that splits have elsewhere."""
    made, _ = taken(tmp_path, class_folders(["car", "train"], 4), SplitDraw(test_fraction=0.5))
    assert made.description.test is not None
    assert made.description.test.names == ("car", "train")
