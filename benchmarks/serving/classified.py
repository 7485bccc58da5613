"""Pictures classified over HTTP, beside MLflow's model server with the same weights of the paper's network.

Both servers have the API's core for all that they start, one thread, and the same images of 32 × 32 pixels. Gauntlet is
sent PNG files as a form, with a token, to a checkpoint that was imported; MLflow what its users send, the pixels as
nested lists in JSON, to `mlflow models serve` with one worker, without a login. One client asks, one request after the
other, on a connection that stays and ahead of what else its core does; what counts is from the first byte sent to the
last one read. Gauntlet is asked in fp32, as MLflow is, and by a second server in bf16. Beside all: the network's own
forward pass in this process on the same core, as it is, and prepared as it is classified with in either precision; and
how fast that core multiplies matrices.
"""

import http
import http.client
import io
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from benchmarks.serving.served import keep_to, served
from benchmarks.serving.watchers import in_ms, take_cores
from benchmarks.serving.watching import API_CORES
from benchmarks.speed.peers import plain_cnn
from benchmarks.speed.rounds import random_images
from cli.machine.embedded import free_port
from gauntlet.data.datasets import to_unit
from gauntlet.models.architectures import paper_cnn
from gauntlet.models.inference import prepared
from gauntlet.models.precision import Model
from gauntlet.spec.class_names import KNOWN_CLASSES
from gauntlet.spec.runs.training import InferencePrecision

BATCH = 64
_SHAPE, _CLASSES = (3, 32, 32), 10
_FORWARD_MFLOP = 41.5
_READY_WITHIN_S = 120.0
_CARD = {"name": "random weights", "architecture": {"kind": "cnn"}, "dataset": {"name": "cifar10"}}

# Sends a request and reads its answer; what classes an answer names.
Side = tuple[Callable[[], bytes], Callable[[bytes], list[int]]]


def measure_classifying(seconds: float, mlflow: Path | None) -> dict[str, Any]:
    """One image at a time and batches, of each server in turn.

    Args:
        seconds: of each measurement.
        mlflow: the Python of the environment that MLflow is installed in; None leaves it out.
    """
    pixels, _ = random_images(BATCH)
    model = paper_cnn(_SHAPE, _CLASSES).eval()
    found: dict[str, Any] = {"one_core": _core(model, pixels, seconds)}
    seen = {}
    with tempfile.TemporaryDirectory(prefix="gauntlet-") as folder, ExitStack() as ended:
        sides = {
            "gauntlet": ended.enter_context(_gauntlet(model, Path(folder), "fp32")),
            "gauntlet_bf16": ended.enter_context(_gauntlet(model, Path(folder), "bf16")),
        }
        if mlflow is not None:
            sides["mlflow"] = ended.enter_context(_mlflow(mlflow, model, Path(folder)))
        before = os.sched_getaffinity(0)
        ended.callback(os.sched_setscheduler, 0, os.SCHED_OTHER, os.sched_param(0))
        take_cores(before, first=True)
        for name, of in sides.items():
            (one, _), (batch, classes) = of(pixels[:1]), of(pixels)
            seen[name] = [classes(one()), classes(batch())]
            found[name] = {
                "one_image_ms": in_ms(_timed(one, seconds)),
                "batch_ms": (ms := in_ms(_timed(batch, seconds))),
                "batch_images_per_second": round(BATCH / ms["p50"] * 1e3),
            }
    # Of a network that has learned nothing, many classes are as likely as one another.
    lowered = seen.pop("gauntlet_bf16")
    found["other_classes_in_bf16"] = sum(a != b for a, b in zip(lowered[1], seen["gauntlet"][1], strict=True))
    found["same_classes"] = all(classes == seen["gauntlet"] for classes in seen.values())
    return {"batch": BATCH, "seconds": seconds} | found


def _timed(work: Callable[[], object], seconds: float) -> list[float]:
    work()
    spent: list[float] = []
    while sum(spent) < seconds:
        started = time.perf_counter()
        work()
        spent.append(time.perf_counter() - started)
    return spent


def _core(model: torch.nn.Module, pixels: Tensor, seconds: float) -> dict[str, Any]:
    images, matrix = to_unit(pixels), torch.rand(1024, 1024)
    before = os.sched_getaffinity(0)
    keep_to(os.getpid(), API_CORES)
    found: dict[str, Any] = {}
    forwards: dict[str, Model] = {
        "forward": model,
        "prepared_fp32": prepared(model, "fp32"),
        "prepared_bf16": prepared(model, "bf16"),
    }
    with torch.inference_mode():
        for name, forward in forwards.items():
            batch, one = (_median(partial(_passes, forward, some), seconds / 3) for some in (images, images[:1]))
            found |= {f"{name}_one_image_ms": round(one * 1e3, 2)}
            found |= {f"{name}_images_per_second": round(BATCH / batch)}
        for name, factor in {"": matrix, "bf16_": matrix.bfloat16()}.items():
            gflops = 2 * 1024**3 / _median(partial(torch.matmul, factor, factor), 1.0) / 1e9
            found |= {f"{name}matrix_gflop_per_second": round(gflops, 1)}
            found |= {f"{name}images_per_second_at_that_speed": round(gflops * 1e3 / _FORWARD_MFLOP)}
    os.sched_setaffinity(0, before)
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return found


def _passes(forward: Model, images: Tensor) -> None:
    # As many together as the service takes.
    for some in images.split(BATCH // 2):
        forward(some)


def _median(work: Callable[[], object], seconds: float) -> float:
    return statistics.median(_timed(work, seconds))


@contextmanager
def _gauntlet(
    model: torch.nn.Module, folder: Path, precision: InferencePrecision
) -> Iterator[Callable[[Tensor], Side]]:
    weights = folder / "model.safetensors"
    save_file(model.state_dict(), weights)
    with served(API_CORES, precision=precision) as api, api.client() as client:
        checkpoint = client.import_checkpoint(weights, _CARD).id
        line = http.client.HTTPConnection("127.0.0.1", api.settings.port)

        def asking(pixels: Tensor) -> Side:
            files = [("image", (f"{number}.png", _png(image))) for number, image in enumerate(pixels)]
            request = httpx2.Request("POST", api.url, files=files, data={"checkpoint": [checkpoint]})
            # Put together once: what a client takes for it is not the server's.
            content = request.read()
            headers = api.bearer("read") | {"Content-Type": request.headers["Content-Type"]}
            return partial(_post, line, "/v1/classifications", content, headers), _named

        yield asking
        line.close()


def _named(answer: bytes) -> list[int]:
    return [KNOWN_CLASSES["cifar10"].index(each["label"]) for each in json.loads(answer)["data"]]


def _post(line: http.client.HTTPConnection, path: str, content: bytes, headers: Mapping[str, str]) -> bytes:
    line.request("POST", path, content, headers)
    answer = line.getresponse()
    read = answer.read()
    if answer.status != http.HTTPStatus.OK:
        raise RuntimeError(read.decode())
    return read


@contextmanager
def _mlflow(python: Path, model: torch.nn.Module, folder: Path) -> Iterator[Callable[[Tensor], Side]]:
    theirs, saved, state = plain_cnn(), folder / "mlflow", folder / "state.pt"
    theirs.load_state_dict(dict(zip(theirs.state_dict(), model.state_dict().values(), strict=True)))
    torch.save(theirs.state_dict(), state)
    environment = os.environ | {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    write = [str(python), "-W", "ignore", "-c", _SAVE, str(state), str(saved)]
    subprocess.run(write, env=environment, check=True, capture_output=True)  # noqa: S603  # our own command
    port = free_port("127.0.0.1", 0)
    serve = [
        str(python),
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        str(saved),
        "-p",
        str(port),
        "--env-manager",
        "local",
    ]
    with (folder / "mlflow.log").open("wb") as log:
        server = subprocess.Popen(  # noqa: S603  # the other server's own command
            serve, env=environment, stdout=log, stderr=log, start_new_session=True
        )
    # Before it starts others: it begins with importing for seconds.
    keep_to(server.pid, API_CORES)
    try:
        _await(port, server, folder / "mlflow.log")
        line = http.client.HTTPConnection("127.0.0.1", port)

        def asking(pixels: Tensor) -> Side:
            content = json.dumps({"inputs": to_unit(pixels).tolist()}).encode()
            headers = {"Content-Type": "application/json"}
            return partial(_post, line, "/invocations", content, headers), _largest

        yield asking
        line.close()
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def _largest(answer: bytes) -> list[int]:
    return [max(range(_CLASSES), key=row.__getitem__) for row in json.loads(answer)["predictions"]]


# In the environment of MLflow, which has its own libraries and our torch.
# Numbers in JSON are read as float64, unless the model's signature says otherwise.
_SAVE = """
import sys, mlflow, numpy, torch
from benchmarks.speed.peers import plain_cnn
model = plain_cnn()
model.load_state_dict(torch.load(sys.argv[1]))
images, logits = numpy.zeros((2, 3, 32, 32), numpy.float32), numpy.zeros((2, 10), numpy.float32)
signature = mlflow.models.infer_signature(images, logits)
mlflow.pytorch.save_model(model.eval(), sys.argv[2], serialization_format="pickle", signature=signature)
"""


def _await(port: int, server: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_S
    while True:
        try:
            if httpx2.get(f"http://127.0.0.1:{port}/ping", trust_env=False).is_success:
                return
        except httpx2.TransportError:
            pass
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"MLflow's server did not come up: {log.read_text(encoding='utf-8')}")
        time.sleep(0.5)


def _png(image: Tensor) -> bytes:
    written = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(written, "PNG")
    return written.getvalue()
