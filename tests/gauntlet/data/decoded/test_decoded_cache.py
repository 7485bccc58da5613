"""Data sets that stay on the disk: decoded once, mapped, the same images; within a bound and whatever dies."""

import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gauntlet.data import datasets, staging
from gauntlet.data.datasets import ImageSet, MappedSet, describe_dataset, digest, hold_out, read_dataset, read_split
from gauntlet.data.decoded.decoded_cache import DecodedCache
from gauntlet.errors import DatasetUnavailable
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.runs.objectives import A2c
from gauntlet.training.agents import AgentEpochs
from tests.gauntlet.examples import CPU, events, network, run_spec, same_images, same_tensors, states

SIGNS = ImageFolder(folder="signs", image_size=12, channels="grey")
_PIXELS = 12 * 12
_TRAIN, _TEST = 20, 6


@pytest.fixture
def signs(tmp_path: Path) -> Path:
    """Noise, darker of the one class than of the other."""
    rng = np.random.default_rng(3)
    for split, count in (("train", _TRAIN // 2), ("test", _TEST // 2)):
        for start, name in ((0, "dark"), (100, "light")):
            folder = tmp_path / "data/signs" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(rng.integers(start, start + 150, (12, 12), dtype=np.uint8)).save(
                    folder / f"{number}.png"
                )
    return tmp_path / "data"


@pytest.fixture
def cache(tmp_path: Path) -> DecodedCache:
    return DecodedCache(tmp_path / "decoded", 1 << 20, from_bytes=1)


class Read:
    """Counts the pictures that are decoded."""

    def __init__(self) -> None:
        self.pictures = 0

    def __call__(self, read: int, _total: int) -> None:
        self.pictures += read > 0


def entries(cache: DecodedCache) -> list[Path]:
    return sorted(cache.folder.iterdir())


def drawn(images: MappedSet) -> ImageSet:
    """All of them in memory."""
    return ImageSet(images.drawn(torch.arange(len(images))), images.labels)


def forked(work: Callable[[], None]) -> int:
    """Work in a process of its own; its id. It ends without a word, as a killed one does."""
    if process := os.fork():
        return process
    try:
        work()
    finally:
        os._exit(1)


def test_it_is_decoded_once_and_is_the_same(signs: Path, cache: DecodedCache) -> None:
    """Pixels, labels, digest and description; from the second time on nothing is decoded."""
    kept, described = read_dataset(SIGNS, signs)
    first, again = Read(), Read()
    mapped, found = read_dataset(SIGNS, signs, first, cache=cache)
    once_more, found_again = read_dataset(SIGNS, signs, again, cache=cache)
    assert (first.pictures, again.pictures) == (_TRAIN + _TEST, 0)
    assert described == found == found_again
    for data in (mapped, once_more):
        assert isinstance(data.train, MappedSet)
        assert isinstance(kept.train, ImageSet)
        assert same_images(drawn(data.train), kept.train)
        assert same_images(data.test, kept.test)
        assert digest(data.test, data.classes) == digest(kept.test, kept.classes)
    (signs / "signs/train/dark/.hidden.png").touch()
    (signs / "signs/other").mkdir()
    assert read_dataset(SIGNS, signs, again, cache=cache)[1] == describe_dataset(SIGNS, signs) != described
    assert again.pictures == 0
    test, _, _ = read_split(SIGNS, "test", signs, cache=cache)
    assert same_images(test, kept.test)


def test_a_small_set_stays_in_memory(signs: Path, cache: DecodedCache) -> None:
    size = (_TRAIN + _TEST) * _PIXELS
    for from_bytes, kind in ((size, MappedSet), (size + 1, ImageSet)):
        limited = DecodedCache(cache.folder, 1 << 20, from_bytes=from_bytes)
        assert type(read_dataset(SIGNS, signs, cache=limited)[0].train) is kind


def test_other_pictures_or_another_reading_are_decoded_anew(signs: Path, cache: DecodedCache) -> None:
    """A file that changed under its old size and date too; other sizes, fits, subsets."""
    read_dataset(SIGNS, signs, cache=cache)
    file = signs / "signs/train/dark/3.png"
    before = file.stat()
    content = file.read_bytes()
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    changes: list[dict[str, object]] = [
        {},
        {"image_size": 14},
        {"fit": "pad"},
        {"channels": "rgb"},
        {"train_samples": 6},
    ]
    for change in changes:
        read = Read()
        read_dataset(SIGNS.model_copy(update=change), signs, read, cache=cache)
        assert read.pictures == (6 if "train_samples" in change else _TRAIN) + _TEST


def test_training_is_bit_identical(signs: Path, cache: DecodedCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, moments and metrics of every epoch, from memory or from the disk, with images held out and changed."""
    # Two batches of four at a time.
    monkeypatch.setattr(staging, "_CHUNK_BYTES", 8 * _PIXELS)
    training = {"epochs": 2, "batch_size": 4, "augmentation": {"flip": True, "crop_padding": 2}}
    spec = run_spec(training=training, evaluation={"select_on": "validation", "validation_samples": 3})
    found = [events(spec, read_dataset(SIGNS, signs, cache=each)[0], every_state=True) for each in (None, cache)]
    in_memory, mapped = map(states, found)
    assert len(in_memory) == len(mapped) > 4
    for left, right in zip(in_memory, mapped, strict=True):
        assert same_tensors(left.model, right.model)
        assert torch.equal(left.totals, right.totals)
    metrics = [[event.metrics for event in each if hasattr(event, "metrics")] for each in found]
    assert metrics[0] == metrics[1]
    # And from a state within an epoch on.
    resumed = states(events(spec, read_dataset(SIGNS, signs, cache=cache)[0], in_memory[1]))
    assert same_tensors(resumed[-1].model, in_memory[-1].model)


def test_an_agent_learns_the_same_from_the_disk(signs: Path, cache: DecodedCache) -> None:
    """Rollouts draw their images from the mapping, which stays where it is, and attack the same ones."""
    spec = run_spec(objective={"kind": "a2c", "n_steps": 2}, training={"epochs": 1, "batch_size": 4})
    kept, mapped = (read_dataset(SIGNS, signs, cache=each)[0] for each in (None, cache))
    assert isinstance(mapped.train, MappedSet)
    agent = AgentEpochs(spec, A2c(n_steps=2), mapped, network(2, shape=(1, 12, 12)))
    assert isinstance(agent.images, MappedSet)
    assert agent.images.pixels.data_ptr() == mapped.train.pixels.data_ptr()
    in_memory, from_disk = (states(events(spec, data, every_state=True)) for data in (kept, mapped))
    assert len(in_memory) == len(from_disk) > 2
    for left, right in zip(in_memory, from_disk, strict=True):
        assert same_tensors(left.model, right.model)
        assert torch.equal(left.totals, right.totals)


def test_a_mapped_set_is_taken_apart_as_one_in_memory(signs: Path, cache: DecodedCache) -> None:
    kept, mapped = (read_dataset(SIGNS, signs, cache=each)[0] for each in (None, cache))
    for left, right in zip(hold_out(kept, 5), hold_out(mapped, 5), strict=True):
        ours, theirs = (each if not isinstance(each, datasets.Dataset) else each.train for each in (left, right))
        assert isinstance(ours, ImageSet)
        assert isinstance(theirs, MappedSet)
        assert same_images(ours, drawn(theirs))
        assert same_images(ours.take(2), drawn(theirs.take(2)))
        pieces = zip(ours.pieces(4), theirs.pieces(4), strict=True)
        assert all(torch.equal(a, c) and torch.equal(b, d) for (a, b), (c, d) in pieces)


def test_only_chunks_are_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An epoch over 131 MB of pixels in another order holds less than a quarter of them in memory of the process."""
    monkeypatch.setattr(staging, "_CHUNK_BYTES", 1 << 20)
    images, size = 2_000, 1 << 16
    file = tmp_path / "pixels"
    np.memmap(file, np.uint8, "w+", shape=(images, 1, 256, 256))[:, 0, 0, 0] = np.arange(images) % 251
    pixels = datasets.as_tensor(np.memmap(file, np.uint8, "r", shape=(images, 1, 256, 256)))
    order = torch.arange(images - 1, -1, -1)
    before, most, seen = _anonymous(), 0, []
    for batch in staging.staged(pixels, order, 8, CPU):
        seen += batch[:, 0, 0, 0].tolist()
        most = max(most, _anonymous() - before)
    assert seen == [number % 251 for number in order.tolist()]
    assert most < images * size // 4


def _anonymous() -> int:
    """Bytes of memory that are this process's own, and no file's."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon"))


def test_a_writer_that_is_killed_leaves_nothing_that_is_read(signs: Path, cache: DecodedCache) -> None:
    """The next one decodes all of it, and what was half done is gone; the sweeper deletes it too."""

    def die(read: int, _total: int) -> None:
        if read == _TRAIN // 2:
            os.kill(os.getpid(), signal.SIGKILL)

    for clean_up in (lambda: None, cache.sweep):
        shutil.rmtree(cache.folder, ignore_errors=True)
        _, status = os.waitpid(forked(lambda: read_dataset(SIGNS, signs, die, cache=cache)), 0)
        assert os.WTERMSIG(status) == signal.SIGKILL
        assert {path.suffix for path in entries(cache)} == {".lock", ".partial"}
        clean_up()
        read = Read()
        data, _ = read_dataset(SIGNS, signs, read, cache=cache)
        assert read.pictures == _TRAIN + _TEST
        assert [path.suffix for path in entries(cache)] == [""]
        assert isinstance(data.train, MappedSet)
    cache.sweep()
    assert len(entries(cache)) == 1


def test_two_processes_decode_it_once(signs: Path, cache: DecodedCache, tmp_path: Path) -> None:
    """The second waits for the first, is asked whether it still wants to, and then reads the same."""
    log = tmp_path / "log"

    def read(_read: int, _total: int) -> None:
        with log.open("a") as file:
            file.write("." if _read else "w")

    def work() -> None:
        data, _ = read_dataset(SIGNS, signs, read, cache=cache)
        assert isinstance(data.train, MappedSet)
        sha256 = hashlib.sha256(drawn(data.train).images.numpy().tobytes()).hexdigest()
        (tmp_path / f"sha256.{os.getpid()}").write_text(sha256)

    for process in [forked(work) for _ in range(3)]:
        os.waitpid(process, 0)
    assert log.read_text().count(".") == _TRAIN + _TEST
    found = [file.read_text() for file in tmp_path.glob("sha256.*")]
    assert len(found) == 3
    assert len(set(found)) == 1


def test_who_waits_may_stop_waiting(signs: Path, cache: DecodedCache) -> None:
    """A job that is cancelled does not wait for another's decoding."""

    class Cancelled(Exception):
        pass

    def nested(_read: int, _total: int) -> None:
        def stop(_read: int, _total: int) -> None:
            raise Cancelled

        # Another descriptor of the same lock, as another process has it.
        read_dataset(SIGNS, signs, stop, cache=cache)

    with pytest.raises(Cancelled):
        read_dataset(SIGNS, signs, nested, cache=cache)
    assert [path for path in entries(cache) if path.suffix != ".lock"] == []


def test_what_was_used_longest_ago_makes_room(signs: Path, cache: DecodedCache) -> None:
    """Of three sets two fit; the one that was used last stays, and what a process has mapped stays readable to it."""
    specs = [SIGNS.model_copy(update={"fit": fit}) for fit in ("stretch", "crop", "pad")]
    first, _ = read_dataset(specs[0], signs, cache=cache)
    (one,) = entries(cache)
    small = DecodedCache(cache.folder, 5 * sum(file.stat().st_size for file in one.iterdir()) // 2, from_bytes=1)
    second, _ = read_dataset(specs[1], signs, cache=small)
    for path in entries(small):
        os.utime(path / "description.json", (1e9, 1e9))
    read_dataset(specs[0], signs, cache=small)
    read_dataset(specs[2], signs, cache=small)
    assert len(entries(small)) == 2
    for spec, decoded in ((specs[0], 0), (specs[1], _TRAIN + _TEST)):
        read = Read()
        read_dataset(spec, signs, read, cache=small)
        assert read.pictures == decoded
    assert isinstance(first.train, MappedSet)
    assert isinstance(second.train, MappedSet)
    assert same_images(drawn(first.train), drawn(second.train))


def test_what_is_too_large_is_told_before_anything_is_read(signs: Path, cache: DecodedCache) -> None:
    read = Read()
    with pytest.raises(DatasetUnavailable, match="3,744 bytes of pixels, and 3,743 may be kept"):
        read_dataset(SIGNS, signs, read, cache=DecodedCache(cache.folder, 3_743, from_bytes=1))
    assert (read.pictures, entries(cache)) == (0, [])


def test_damaged_pictures_and_entries_are_noticed(signs: Path, cache: DecodedCache) -> None:
    """Nothing is stored of a set with a fault; an entry that is cut off or has no description is made anew."""
    file = signs / "signs/train/dark/3.png"
    content = file.read_bytes()
    file.write_bytes(content[:40])
    with pytest.raises(DatasetUnavailable, match=r"dark/3\.png"):
        read_dataset(SIGNS, signs, cache=cache)
    assert entries(cache) == []
    file.write_bytes(content)
    read_dataset(SIGNS, signs, cache=cache)
    (entry,) = entries(cache)
    for damage in (
        lambda: os.truncate(entry / "train", 100),
        lambda: (entry / "description.json").write_text("{"),
        (entry / "test").unlink,
    ):
        damage()
        read = Read()
        read_dataset(SIGNS, signs, read, cache=cache)
        assert read.pictures == _TRAIN + _TEST
