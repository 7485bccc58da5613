"""One run over several processes, a GPU each: every batch is divided among them, and each has all of the weights."""

import ctypes
import multiprocessing
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Final

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor

from gauntlet.data.datasets import Dataset
from gauntlet.errors import GauntletError, ProcessLost
from gauntlet.events import TrainingEvent
from gauntlet.models.architectures import build_model
from gauntlet.models.checkpoints import TrainingState, encode_training_state, load_training_state
from gauntlet.models.memory import keep_freed_memory
from gauntlet.models.sharding import Ranks, is_divisible
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.architectures import Custom
from gauntlet.spec.runs.objectives import AgentSpec
from gauntlet.training.loop import Watch, course
from gauntlet.training.updates import doing

# The others wait while the first writes a state or waits for a database; that one of them died is seen at once.
_LONGEST_WAIT: Final = timedelta(hours=6)
_LOOK_EVERY_S: Final = 1.0
_ENDS_WITHIN_S: Final = 10.0
_PR_SET_PDEATHSIG: Final = 1
_STORE, _STATE, _WEIGHTS = "store", "state.safetensors", "weights.safetensors"
_LOOPBACK: Final = Path("/sys/class/net/lo")


def is_distributable(spec: RunSpec, data: Dataset) -> bool:
    """Whether several processes compute what one does: not agents, AWP or GradAlign, nor every network.

    Of layers that draw or look at a whole batch, this project's dropout and batch normalisation over images can be
    divided; what a team's own network does with a batch is not known.
    """
    if isinstance(spec.objective, AgentSpec) or spec.training.awp is not None or spec.training.grad_align is not None:
        return False
    if isinstance(spec.architecture, Custom):
        return False
    with torch.device("meta"):
        return is_divisible(build_model(spec.architecture, data.image_shape, len(data.classes)))


def train_distributed(
    spec: RunSpec,
    data: Dataset,
    *,
    read: Callable[[], Dataset],
    devices: Sequence[torch.device | str],
    resume: TrainingState | None = None,
    initial_weights: dict[str, Tensor] | None = None,
    wants_state: Callable[[], bool] = lambda: False,
    watch: Watch = lambda _capture, _done: None,
    lost: Callable[[], None] = lambda: None,
) -> Iterator[TrainingEvent]:
    """Train a run that `is_distributable` on several devices, which divide its batches; yields what `train` does.

    Order, augmentation, dropout, random starts and actions are those of one process, and what is averaged over a batch
    is averaged over all of it, so nothing but the last bits of sums depends on how many there are. Accuracies after an
    epoch are divided likewise. Steps are not compiled. A run goes on from any state of it, whatever made that.

    Each process but this one is started anew and ended with this generator, and by Linux with this process.

    Args:
        read: how the others read the same data; something that can be pickled.
        devices: of each process, this one's first. On GPUs they talk by NCCL, on CPUs by gloo.
        lost: called by a thread when one of the others died, as NCCL would wait for it. With gloo an error follows.

    Raises:
        ProcessLost: one of the others died.
        GauntletError: as `train` does.
    """
    places = [torch.device(device) for device in devices]
    with tempfile.TemporaryDirectory(prefix="gauntlet-meeting-") as folder:
        meeting = Path(folder)
        # As files: a tensor that is handed over takes an open file each.
        if resume is not None:
            (meeting / _STATE).write_bytes(encode_training_state(resume))
        if initial_weights is not None:
            contiguous = {name: weights.contiguous() for name, weights in initial_weights.items()}
            save_file(contiguous, meeting / _WEIGHTS)
        with _others(spec, read, places, meeting, lost), _joined(0, places, meeting) as ranks:
            steps = course(
                spec,
                data,
                device=places[0],
                resume=resume,
                initial_weights=initial_weights,
                wants_state=wants_state,
                watch=watch,
                ranks=ranks,
            )
            yield from doing(steps)


@contextmanager
def _others(
    spec: RunSpec,
    read: Callable[[], Dataset],
    places: Sequence[torch.device],
    meeting: Path,
    lost: Callable[[], None],
) -> Iterator[None]:
    """The processes beside this one, watched and at last ended."""
    context = multiprocessing.get_context("spawn")
    threads = torch.get_num_threads()
    beside = [
        context.Process(
            target=_take_part,
            args=(os.getpid(), number, spec, read, places, meeting, threads),
            name=f"{number + 1}",
            daemon=True,
        )
        for number in range(1, len(places))
    ]
    over = threading.Event()
    watching = threading.Thread(target=_watch, args=(beside, over, lost), name="ranks", daemon=True)
    try:
        for process in beside:
            process.start()
        watching.start()
        yield
    except RuntimeError as error:
        # Whoever talks to it hears of it before it is known to have ended.
        for process in beside:
            process.join(_LOOK_EVERY_S)
        dead = [process for process in beside if process.exitcode not in (None, 0)]
        if not dead:
            raise
        raise ProcessLost(f"Process {dead[0].name} of {len(places)} ended with {dead[0].exitcode}.") from error
    finally:
        over.set()
        if watching.is_alive():
            watching.join()
        # They end by themselves where training did, and else wait for what this one does no more.
        for process in beside:
            if process.pid is not None:
                process.join(0.1 if process.is_alive() else None)
                process.kill()
                process.join(_ENDS_WITHIN_S)


def _watch(beside: Sequence[SpawnProcess], over: threading.Event, lost: Callable[[], None]) -> None:
    while not over.wait(_LOOK_EVERY_S):
        if any(process.exitcode not in (None, 0) for process in beside):
            lost()
            return


@contextmanager
def _joined(number: int, places: Sequence[torch.device], meeting: Path) -> Iterator[Ranks]:
    """Inside, this process is one of torch's process group."""
    device = places[number]
    before = os.environ.get("GLOO_SOCKET_IFNAME")
    # All are on one machine; without it gloo asks for the host's name, which may lead nowhere.
    if _LOOPBACK.exists():
        os.environ["GLOO_SOCKET_IFNAME"] = _LOOPBACK.name
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(
            backend,
            init_method=f"file://{meeting / _STORE}",
            rank=number,
            world_size=len(places),
            timeout=_LONGEST_WAIT,
        )
        yield Ranks(number, len(places))
    finally:
        if before is None:
            os.environ.pop("GLOO_SOCKET_IFNAME", None)
        else:
            os.environ["GLOO_SOCKET_IFNAME"] = before
        if dist.is_initialized():
            dist.destroy_process_group()


def _take_part(
    parent: int,
    number: int,
    spec: RunSpec,
    read: Callable[[], Dataset],
    places: Sequence[torch.device],
    meeting: Path,
    threads: int,
) -> None:
    """Go through the run as the first process does, and tell nobody. Entry of the others."""
    _end_with(parent)
    # The first one hears of them, and what it then does ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(threads)
    keep_freed_memory()
    with _joined(number, places, meeting) as ranks:
        state, weights = meeting / _STATE, meeting / _WEIGHTS
        # What ends the first one ends this one, and that one tells of it.
        with suppress(GauntletError):
            steps = course(
                spec,
                read(),
                device=places[number],
                resume=load_training_state(state) if state.exists() else None,
                initial_weights=load_file(weights) if weights.exists() else None,
                ranks=ranks,
            )
            for _ in doing(steps):
                pass


def _end_with(parent: int) -> None:
    """Ask Linux to end this process with its parent, however that ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
