"""What lies in an image folder: pictures by class, what is passed over, and every fault at once."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gauntlet.data.sets.folders import FolderListing, list_folder
from gauntlet.data.sets.walk import TooManyEntries
from gauntlet.data.survey import survey
from gauntlet.spec.kinds import ImageFolder
from gauntlet.torchvision_ops import declare_missing_operators

TWO = ("train/cat/0.png", "train/dog/0.png", "test/cat/0.png", "test/dog/0.png")


@pytest.fixture
def pets(tmp_path: Path) -> Callable[..., FolderListing]:
    """List a folder `pets` of two classes with further files; a path that ends with a slash is an empty folder."""

    def listing(*more: str, without: tuple[str, ...] = ()) -> FolderListing:
        for path in (*(path for path in TWO if path not in without), *more):
            place = tmp_path / "pets" / path
            (place if path.endswith("/") else place.parent).mkdir(parents=True, exist_ok=True)
            if not path.endswith("/"):
                place.touch()
        return list_folder(tmp_path, "pets")

    return listing


def skipped(listing: FolderListing) -> dict[str, tuple[str, ...]]:
    return {each.reason: each.examples for each in listing.splits["train"].skipped}


@pytest.mark.parametrize(
    ("clutter", "reason", "told"),
    [
        ("train/.ipynb_checkpoints/0-checkpoint.png", "hidden", ".ipynb_checkpoints"),
        ("train/.ipynb_checkpoints/", "hidden", ".ipynb_checkpoints"),
        ("train/cat/.ipynb_checkpoints/0-checkpoint.png", "hidden", "cat/.ipynb_checkpoints"),
        ("train/cat/._0.png", "hidden", "cat/._0.png"),
        ("train/.hidden.png", "hidden", ".hidden.png"),
        ("train/.DS_Store", "hidden", ".DS_Store"),
        ("train/__MACOSX/cat/._0.png", "left by an archive or a system", "__MACOSX"),
        ("train/cat/__MACOSX/0.png", "left by an archive or a system", "cat/__MACOSX"),
        ("train/cat/@eaDir/0.png", "left by an archive or a system", "cat/@eaDir"),
        ("train/lone.png", "outside of a class folder", "lone.png"),
        ("train/labels.csv", "outside of a class folder", "labels.csv"),
        ("train/cat/1.HEIC", ".heic, which is not read: convert them to PNG or JPEG", "cat/1.HEIC"),
        ("train/cat/1.gif", ".gif, which is not read: convert them to PNG or JPEG", "cat/1.gif"),
        ("train/cat/notes.txt", ".txt, no pictures", "cat/notes.txt"),
        ("train/cat/LICENSE", "without a suffix, no pictures", "cat/LICENSE"),
    ],
)
def test_clutter_is_passed_over_and_told(
    pets: Callable[..., FolderListing], clutter: str, reason: str, told: str
) -> None:
    """It makes no class and no picture, in train as in test, and the description says what it was."""
    listing = pets(clutter, clutter.replace("train", "test"))
    assert listing.faults == ()
    for split in listing.splits.values():
        assert split.classes == ("cat", "dog")
        assert split.files == (("cat/0.png", 0), ("dog/0.png", 1))
    assert skipped(listing) == {reason: (told,)}


def test_what_is_no_plain_file_is_never_opened(pets: Callable[..., FolderListing], tmp_path: Path) -> None:
    """A pipe would be waited for without end, and a link that leads back gone around without end."""
    pets()
    os.mkfifo(tmp_path / "pets/train/cat/pipe.png")
    (tmp_path / "pets/train/cat/up").symlink_to(tmp_path / "pets/train/cat")
    (tmp_path / "pets/train/cat/deeper").mkdir()
    (tmp_path / "pets/train/cat/deeper/up").symlink_to(tmp_path / "pets/train/cat")
    listing = pets()
    assert listing.splits["train"].files == (("cat/0.png", 0), ("dog/0.png", 1))
    assert skipped(listing) == {
        "no plain files": ("cat/pipe.png",),
        "links back to a folder above": ("cat/up", "cat/deeper/up"),
    }


def test_a_link_that_leads_nowhere_stays_a_picture(pets: Callable[..., FolderListing], tmp_path: Path) -> None:
    """It stands for a picture that is missing, which reading tells; a link to a folder or file is what it leads to."""
    pets("train/lion/a.png", "test/puma/b.png", "more/1.png")
    (tmp_path / "pets/train/cat/gone.png").symlink_to(tmp_path / "away/gone.png")
    (tmp_path / "pets/train/puma").symlink_to(tmp_path / "pets/more")
    (tmp_path / "pets/test/lion").mkdir()
    (tmp_path / "pets/test/lion/a.png").symlink_to(tmp_path / "pets/train/lion/a.png")
    listing = pets()
    assert listing.faults == ()
    assert [path for path, _ in listing.splits["train"].files] == [
        "cat/0.png",
        "cat/gone.png",
        "dog/0.png",
        "lion/a.png",
        "puma/1.png",
    ]


def test_the_order_is_torchvisions(pets: Callable[..., FolderListing], tmp_path: Path) -> None:
    """Which image has which number does not change, so numbers stay comparable; folders within a class too."""
    names = ("b.png", "a/z.JPG", "a-b/1.tiff", "a/b/c.webp", "a.bmp", "B.jpeg", "é.pgm", "a/a.ppm")
    pets(*(f"train/{label}/{name}" for label in ("cat", "dog", "Ant") for name in names), "test/Ant/0.png")
    declare_missing_operators()
    from torchvision.datasets.folder import IMG_EXTENSIONS, find_classes, make_dataset

    root = tmp_path / "pets/train"
    classes, index = find_classes(root)
    listing = pets().splits["train"]
    assert list(listing.classes) == classes == ["Ant", "cat", "dog"]
    assert [(f"{root}/{path}", label) for path, label in listing.files] == make_dataset(
        str(root), index, extensions=IMG_EXTENSIONS
    )


@pytest.mark.parametrize(
    ("more", "without", "told"),
    [
        (("val/cat/1.png",), TWO[2:], "There is no folder test in pets, but val: rename it to test"),
        (("Train/cat/1.png",), TWO[:2], "There is no folder train in pets, but Train: rename it to train"),
        (("pets/train/cat/1.png",), TWO, "There is no folder train in pets, but another pets: move what is in it up."),
        (("cat/1.png", "dog/1.png"), TWO, "There is no folder test in pets; there are cat, dog."),
        ((), TWO[2:], "There is no folder test in pets; there is train."),
        (("train/cow/",), (), "There is no picture of the class cow in pets/train."),
        (
            ("train/cow/1.heic", "test/cow/1.png"),
            (),
            "There is no picture of the class cow in pets/train. Passed over: 1 .heic, which is not read: convert them",
        ),
        (("train/cow/1.png",), (), "The classes of pets/train and of pets/test differ: only pets/train has cow."),
        (
            ("train/Dog/1.png",),
            TWO[1:2],
            "The classes of pets/train and of pets/test differ: only pets/train has Dog; only pets/test has dog. Dog",
        ),
        (("test/1.png",), TWO[2:], "There is no class folder in pets/test: pictures lie in pets/test/CLASS/."),
        (("test/a/1.png",), TWO[2:], "There is only one class, a, in pets/test; a classifier needs at least two."),
    ],
)
def test_a_fault_is_told_in_a_sentence(
    pets: Callable[..., FolderListing], more: tuple[str, ...], without: tuple[str, ...], told: str
) -> None:
    """Each says what is missing, what is there instead, and what to do."""
    assert any(fault.startswith(told) for fault in pets(*more, without=without).faults)


def test_all_faults_are_told_at_once(pets: Callable[..., FolderListing]) -> None:
    """A missing split, an empty class and classes that differ do not wait for each other."""
    assert len(pets("train/cow/", "test/rat/1.png", "test/owl/").faults) == 3
    assert len(pets("train/cow/", "val/cat/1.png").faults) == 3


def test_a_name_that_is_not_utf8_is_told_escaped(pets: Callable[..., FolderListing], tmp_path: Path) -> None:
    """A class is known by its name, so it must be text; a file's name does not matter, however it is written."""
    pets()
    for split in ("train", "test"):
        folder = tmp_path / "pets" / split / os.fsdecode(b"caf\xe9")
        folder.mkdir()
        (folder / "0.png").touch()
    listing = pets()
    assert listing.faults == tuple(
        rf"The name of the class caf\xe9 in pets/{split} is not UTF-8 or holds a control character: rename the folder."
        for split in ("train", "test")
    )
    (tmp_path / "pets/train/cat" / os.fsdecode(b"\xff\x1b.png")).touch()
    assert ("cat/" + os.fsdecode(b"\xff\x1b.png"), 1) in pets().splits["train"].files


def test_a_class_may_have_any_text_as_its_name(pets: Callable[..., FolderListing]) -> None:
    """Also one with signs that are not seen, as Persian has within words; sentences show them as escapes."""
    name = "می‌روم"
    assert not name.isprintable()
    listing = pets(f"train/{name}/1.png", f"test/{name}/1.png")
    assert listing.faults == ()
    assert name in listing.splits["train"].describe().names


def test_a_folder_that_is_not_there_is_told_with_those_that_are(
    pets: Callable[..., FolderListing], tmp_path: Path
) -> None:
    """With what was probably meant, where a name is close to it."""
    assert list_folder(tmp_path, "pets").faults == (
        "There is no folder pets among the data sets; there is no folder at all.",
    )
    pets()
    for asked, told in (("Pets", "did you mean pets?"), ("pest", "did you mean pets?"), ("cars", "there is pets.")):
        assert list_folder(tmp_path, asked).faults == (f"There is no folder {asked} among the data sets; {told}",)


def test_a_folder_beside_the_splits_is_told(pets: Callable[..., FolderListing]) -> None:
    """It is not read, which its owner may not expect of one called `val`."""
    assert pets("val/cat/1.png", "readme.txt", ".git/x").unused == ("val",)


def test_a_folder_is_listed_up_to_a_bound(pets: Callable[..., FolderListing], tmp_path: Path) -> None:
    """A request does not wait for a folder of a million files; what is larger is left to the worker."""
    pets()  # 4 class folders and 4 pictures
    assert list_folder(tmp_path, "pets", most_entries=8).faults == ()
    with pytest.raises(TooManyEntries):
        list_folder(tmp_path, "pets", most_entries=7)
    folder = ImageFolder(folder="pets")
    assert survey(folder, tmp_path, most_entries=8) is not None
    assert survey(folder, tmp_path, most_entries=7) is None
