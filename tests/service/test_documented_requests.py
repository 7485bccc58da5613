"""The commands of docs/api.md, run as they stand there against a server."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from PIL import Image
from safetensors.torch import save_file

from gauntlet.models.architectures import build_model
from gauntlet.spec.runs.architectures import ArchitectureSpec, Cnn, ResNet
from service.app import create_app
from service.settings import ServiceSettings
from tests.e2e.system import await_that
from tests.packing import class_folders, write_zip

pytestmark = [pytest.mark.long(seconds=12), pytest.mark.thorough]

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
COMMANDS = [
    command
    for block in re.findall(r"```sh\n(.*?)```", DOCUMENT, re.DOTALL)
    for command in re.findall(r"^curl (?:.*\\\n|.*'\{\n(?:.*\n)*?.*\}'|.*)*", block, re.MULTILINE)
]


@contextmanager
def served(settings: ServiceSettings) -> Iterator[str]:
    """The service behind a real server; where it is."""
    server = uvicorn.Server(uvicorn.Config(create_app(settings), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        await_that(lambda: server.started)
        yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_each_command_does_what_it_says(settings: ServiceSettings, tmp_path: Path) -> None:
    """A 2xx for each, with the ids of what another made; the card is the one that stands below its command."""
    assert len(COMMANDS) == DOCUMENT.count("curl -")
    (card,) = re.findall(r"```json\n(\{\"name\": \"their.*?)```", DOCUMENT, re.DOTALL)
    architectures: dict[str, ArchitectureSpec] = {"theirs": ResNet(), "ours": Cnn()}
    for folder, architecture in architectures.items():
        weights = build_model(architecture, (3, 32, 32), 10).state_dict()
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "card.json").write_text(card.replace("resnet18", architecture.kind))
        save_file({name: part.contiguous() for name, part in weights.items()}, tmp_path / folder / "model.safetensors")
    Image.new("RGB", (40, 30), "orange").save(tmp_path / "cat.png")
    write_zip(tmp_path / "pets.zip", class_folders(["cat", "dog"], 2))
    roomy = settings.model_copy(update={"max_json_bytes": 1 << 20})
    with served(roomy) as address:

        def run(command: str, folder: str, **identifiers: str) -> str:
            told = command.replace("localhost:8000", address)
            for name, identifier in identifiers.items():
                told = told.replace(f"{name}…", identifier)
            assert "…" not in told
            told = told.replace("curl ", "curl --write-out '\\n%{http_code}' ", 1)
            ran = subprocess.run(
                ["bash", "-c", told], cwd=tmp_path / folder, capture_output=True, text=True, check=True
            )
            *answer, status = ran.stdout.splitlines()
            assert status in {"200", "201", "202"}, (command, ran.stdout)
            return "\n".join(answer)

        (importing,) = (command for command in COMMANDS if "@model.safetensors" in command)
        first, second = (json.loads(run(importing, folder))["id"] for folder in ("theirs", "ours"))
        for command in COMMANDS:
            if command != importing:
                run(command, ".", ckpt_01=first, ckpt_02=second, run_01="run_0")
    assert (tmp_path / f"{first}.safetensors").stat().st_size > 40_000_000
