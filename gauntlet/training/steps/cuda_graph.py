"""A training step captured in a CUDA graph: hundreds of small kernels that start with one launch."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

# cuDNN and the allocator settle within a few calls; torch's documentation asks for three.
_TRIALS = 3


class CapturedStep:
    """A step, as a function of tensors, for one shape of them.

    The graph reads its inputs from buffers of its own, which every call fills, and changes the very tensors that the
    step changes. Nothing waits for the device. Random numbers follow torch's global CUDA generator: a replay draws
    from the seed that is set when it starts.
    """

    def __init__(self, step: Callable[..., None], example: tuple[Tensor, ...], changed: Iterable[Tensor]) -> None:
        self._buffers = tuple(tensor.clone() for tensor in example)

        def run() -> None:
            step(*self._buffers)

        with unchanged(changed):
            try_out(run)
        self._graph = capture(run)

    def __call__(self, *inputs: Tensor) -> None:
        """The step."""
        for buffer, value in zip(self._buffers, inputs, strict=True):
            buffer.copy_(value, non_blocking=True)
        self._graph.replay()


def on_device(device: torch.device, steps: Generator[T, None, None]) -> Iterator[T]:
    """The same, each computed with the GPU as the current one: graphs, streams and Triton go by it, not by tensors.

    Between them the caller has its own. On a CPU nothing is done about it.
    """
    if device.type != "cuda":
        yield from steps
        return
    with closing(steps):
        while True:
            with torch.cuda.device(device):
                try:
                    step = next(steps)
                except StopIteration:
                    return
            yield step


@contextmanager
def unchanged(tensors: Iterable[Tensor]) -> Iterator[None]:
    """Whatever happens inside to these tensors' values, in place, is undone at the end, after an error too."""
    kept = [(tensor, tensor.detach().clone()) for tensor in tensors]
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in kept:
                tensor.copy_(before)


def try_out(run: Callable[[], None]) -> None:
    """Run a few times on a stream of its own, as capturing asks for."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(_TRIALS):
            run()
    torch.cuda.current_stream().wait_stream(aside)


def capture(run: Callable[[], None]) -> torch.cuda.CUDAGraph:
    """What `run` would launch, as a graph; nothing is computed yet."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph
