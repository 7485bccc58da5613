"""The process that tries a user's model: what it refuses, its bounds, and its end."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from gauntlet.errors import CheckpointInvalid
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.checkpoint_card import CheckpointCard, ImportCard
from service.aside import importing
from service.pictures import imports
from service.pictures.imports import Examined
from tests.e2e.system import await_that


def card(kind: str = "cnn") -> CheckpointCard:
    said = {"name": "mine", "architecture": {"kind": kind}, "dataset": {"name": "digits"}}
    return ImportCard.model_validate(said).card()


def state(kind: str = "cnn") -> dict[str, Tensor]:
    model = build_model(card(kind).architecture, (1, 16, 16), 10)
    initialise(model, 0)
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items()}


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    return state()


@pytest.fixture
def upload() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield cast("BinaryIO", file)


@pytest.fixture
def into() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        yield cast("BinaryIO", file)


def work(upload: BinaryIO, content: bytes, into: BinaryIO, kind: str = "cnn") -> dict[str, Any]:
    """What the process does, done here."""
    upload.seek(0)
    upload.write(content)
    upload.truncate()
    upload.flush()
    order = {"weights": upload.fileno(), "into": into.fileno(), "card": card(kind).model_dump_json()}
    return importing.examine(order, b"")[0]


def test_weights_are_written_again_with_our_header(
    upload: BinaryIO, into: BinaryIO, weights: dict[str, Tensor]
) -> None:
    """Whatever metadata they came with, they are the same, and the file says what they are."""
    assert work(upload, save(weights, {"format": "pt"}), into) == {"findings": [], "renamed": {}, "left_out": {}}
    into.seek(0)
    assert load(into.read()).keys() == weights.keys()


def test_what_does_not_fit_or_compute_is_refused(upload: BinaryIO, into: BinaryIO, weights: dict[str, Tensor]) -> None:
    """A truncated file, another architecture, NaN, and finite weights whose output is not; nothing is written."""
    whole = save(weights)
    nan, huge = (
        save({name: torch.full_like(one, value) for name, one in weights.items()}) for value in (torch.nan, 3e38)
    )
    assert "damaged" in work(upload, whole[:-1], into)["refused"]
    assert work(upload, whole, into, "resnet18")["refused"].startswith("The file does not fit a resnet18 for ")
    assert "not finite" in work(upload, nan, into)["refused"]
    assert "output is not finite" in work(upload, huge, into)["refused"]
    assert os.fstat(into.fileno()).st_size == 0


def examine(upload: BinaryIO, content: bytes, into: BinaryIO, kind: str = "cnn", **bounds: Any) -> Examined:
    upload.write(content)
    return asyncio.run(imports.examine(upload, card(kind), into, **{"most_seconds": 60, **bounds}))


def test_a_model_may_compute_for_so_long(upload: BinaryIO, into: BinaryIO, weights: dict[str, Tensor]) -> None:
    """Beyond it the kernel ends the process, whatever it is at."""
    with pytest.raises(CheckpointInvalid, match=r"takes more than 0\.001 s of a processor"):
        examine(upload, save(weights), into, most_seconds=0.001)


def test_a_model_may_take_so_much_memory(upload: BinaryIO, into: BinaryIO) -> None:
    """Beyond it torch itself has none left, and the answer says how much there was."""
    with pytest.raises(CheckpointInvalid, match="takes more than 330 MiB of memory"):
        examine(upload, save(state("resnet18")), into, "resnet18", most_memory=330 << 20)


def test_it_ends_when_nobody_waits(upload: BinaryIO, into: BinaryIO, weights: dict[str, Tensor]) -> None:
    """A model that is no longer wanted is not tried any further. The process was told the bound that it is to have."""
    upload.write(save(weights))

    async def leave() -> int:
        others = examining()
        asking = asyncio.ensure_future(imports.examine(upload, card(), into, most_seconds=60))
        await asyncio.to_thread(await_that, lambda: len(examining() - others) == 1)
        (process,) = examining() - others
        # While it loads torch: it might be through with the model before the next look at it.
        os.kill(process, signal.SIGSTOP)
        assert told(process)[-1] == str(imports.MOST_MEMORY)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return process

    assert not Path(f"/proc/{asyncio.run(leave())}").exists()


def examining() -> set[int]:
    """This process's children that try a model. It has others, and threads, which other tests began and which end."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for child in (task / "children").read_text().split():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    if "service.aside.importing" in told(int(child)):
                        found.add(int(child))
    return found


def told(process: int) -> list[str]:
    """The process's command and arguments."""
    return Path(f"/proc/{process}/cmdline").read_text().rstrip("\0").split("\0")
