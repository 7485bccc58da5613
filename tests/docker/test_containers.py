import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from urllib.error import HTTPError

import compose_spec
import pytest
import typer
import yaml

from cli import commands
from cli.machine.embedded import worker_grace_s
from service.app import create_app
from service.settings import ServiceSettings
from tests.docker.composed import (
    COMPOSE,
    OURS,
    PREFIX,
    PROCESSES,
    ROOT,
    WORKERS,
    interpolated,
    services_of,
    variables_of,
)
from tests.gauntlet.client.test_http import Answer, answering
from worker.settings import WorkerSettings


def test_compose_file_follows_the_schema() -> None:
    """The compose file, its variables and anchors filled in, is valid, and every volume it mounts is declared."""
    # Compose takes a tag beside a digest, as all of Docker does, and pulls by the digest; this validator refuses it.
    text = re.sub(r"(image: [a-z]+):\S+(@sha256:)", r"\1\2", interpolated(COMPOSE.read_text()))
    resolved = yaml.safe_dump(yaml.safe_load(text))
    compose = compose_spec.PyOptions().from_yaml(resolved)
    compose.validate()
    assert set(compose.service_names()) == {"postgres", "redis", "proxy", *OURS}


def test_every_variable_is_a_setting() -> None:
    """Every GAUNTLET_ variable that the compose file names is a field of the settings of who reads it."""
    fields = {"migrate": ServiceSettings, "service": ServiceSettings} | dict.fromkeys(WORKERS, WorkerSettings)
    services = services_of()
    for name, settings in fields.items():
        given = {key for key in services[name]["environment"] if key.startswith(PREFIX)}
        assert given <= variables_of(settings), name
    named = set(re.findall(rf"{PREFIX}[A-Z_]+", COMPOSE.read_text()))
    assert named <= variables_of(ServiceSettings) | variables_of(WorkerSettings)


@pytest.mark.parametrize("name", OURS)
def test_settings_accept_the_environment(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the compose file puts into a container's environment is valid there."""
    for key in [key for key in os.environ if key.startswith(PREFIX)]:
        monkeypatch.delenv(key)
    environment = services_of()[name]["environment"]
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    secret = tmp_path / "secret"
    secret.write_text("p@ss/word%\n")
    monkeypatch.setenv("GAUNTLET_DATABASE_PASSWORD_FILE", str(secret))
    settings = WorkerSettings() if name in WORKERS else ServiceSettings()
    assert settings.database_url == "postgresql://gauntlet:p%40ss%2Fword%25@postgres:5432/gauntlet"
    assert settings.broker_url == environment["GAUNTLET_BROKER_URL"]


def test_images_are_pinned() -> None:
    """Every image that is not built here has a tag with a patch or minor version, and a digest."""
    bases = [_instructions(process, "FROM") for process in PROCESSES]
    assert bases[0] == bases[1]
    images = [service["image"] for service in services_of().values() if "image" in service] + bases[0]
    assert len(images) == 4
    for image in images:
        assert re.search(r":\d+\.\d+(\.\d+)?-[a-z0-9.-]+@sha256:[0-9a-f]{64}$", image), image


def test_only_the_service_is_published_and_on_loopback() -> None:
    """From outside the machine the proxy is reached, if it is asked for; on it the API is, at GAUNTLET_PORT or 8000."""
    services = services_of()
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert published == {"service": ["127.0.0.1:8000:8000"], "proxy": ["80:8080", "443:8443"]}
    assert services["proxy"]["profiles"] == ["tls"]
    moved = services_of(GAUNTLET_PORT="9000")["service"]["ports"]
    assert moved == ["127.0.0.1:9000:8000"]


def test_start_order() -> None:
    """The schema is made once PostgreSQL answers; service and workers start after it, and once Redis answers."""
    services = services_of()
    healthy = {"condition": "service_healthy"}
    assert services["migrate"]["depends_on"] == {"postgres": healthy}
    assert services["migrate"]["restart"] == "no"
    for name in ("service", *WORKERS):
        assert services[name]["depends_on"] == {
            "postgres": healthy,
            "redis": healthy,
            "migrate": {"condition": "service_completed_successfully"},
        }
    assert all("test" in services[name]["healthcheck"] for name in ("postgres", "redis", "service"))


def test_service_health_is_its_readiness(tmp_path: Path) -> None:
    """The healthcheck asks a route that the API has, at the port it listens on, with valid Python."""
    *command, code = services_of()["service"]["healthcheck"]["test"]
    assert command == ["CMD", "python", "-c"]
    compile(code, "healthcheck", "exec")
    asked = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)", code)
    assert asked is not None
    assert int(asked[1]) == ServiceSettings.model_fields["port"].default
    assert asked[2] == "/readyz"
    app = create_app(
        ServiceSettings(
            home=tmp_path, database_url=f"sqlite:///{tmp_path / 'gauntlet.db'}", broker_url="redis://127.0.0.1:1/0"
        )
    )
    assert asked[2] in app.openapi()["paths"]


@pytest.mark.parametrize("status", [200, 503])
def test_service_health_is_not_asked_of_a_proxy(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """The healthcheck fails on what is no success and on nothing else, whatever proxy the container is given."""
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    *_, code = services_of()["service"]["healthcheck"]["test"]
    with answering(Answer(status)) as (url, seen):
        asks = code.replace("http://127.0.0.1:8000", url)
        if status == 200:
            exec(asks, {})
        else:
            with pytest.raises(HTTPError):
                exec(asks, {})
    assert seen == ["GET /readyz"]


def test_migrate_runs_a_command_that_exists() -> None:
    """`gauntlet migrate` is what the installed package offers."""
    program, command = services_of()["migrate"]["command"]
    (script,) = entry_points(group="console_scripts", name=program)
    assert script.load() is commands.app
    assert command in typer.main.get_command(commands.app).commands


def test_files_are_shared() -> None:
    """Service and workers see the same checkpoints where GAUNTLET_STORAGE_URL says, and only read the data."""
    services = services_of(GAUNTLET_DATA_ROOT="/srv/images")
    for name in ("service", *WORKERS):
        storage = services[name]["environment"]["GAUNTLET_STORAGE_URL"].removeprefix("file://")
        assert f"checkpoints:{storage}" in services[name]["volumes"]
        (data,) = [volume for volume in services[name]["volumes"] if isinstance(volume, dict)]
        assert data["target"] == services[name]["environment"]["GAUNTLET_DATA_ROOT"]
        assert data["source"] == "/srv/images"
        assert data["read_only"] is True


@pytest.mark.parametrize("name", WORKERS)
def test_workers_scale_and_stop_cleanly(name: str) -> None:
    """Nothing ties a worker to one container, and it has longer to stop than the supervisor gives it elsewhere."""
    worker = services_of()[name]
    assert not {"container_name", "ports", "hostname"} & worker.keys()
    assert worker["init"] is True
    assert worker["restart"] == "unless-stopped"
    assert compose_spec.parse_duration(worker["stop_grace_period"]) > worker_grace_s(WorkerSettings())


@pytest.mark.parametrize("name", WORKERS)
def test_workers_share_their_machine(name: str) -> None:
    """However many there are, each takes one core unless it is told to take more, and never all that it sees."""
    keys = ("GAUNTLET_WORKER_SLOTS", "GAUNTLET_THREADS")
    assert [services_of()[name]["environment"][key] for key in keys] == ["1", "1"]
    environment = services_of(GAUNTLET_WORKER_SLOTS="2", GAUNTLET_THREADS="8")[name]["environment"]
    assert [environment[key] for key in keys] == ["2", "8"]


def test_gpu_worker_is_asked_for() -> None:
    """The worker with a GPU starts by its profile only, and is the worker but for the GPU and its device."""
    services = services_of()
    gpu, cpu = services["worker-gpu"], services["worker"]
    assert gpu.pop("profiles") == ["gpu"]
    (device,) = gpu.pop("deploy")["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert gpu["environment"].pop("GAUNTLET_DEVICE") == "cuda"
    assert gpu == cpu


@pytest.mark.parametrize("process", PROCESSES)
def test_dockerfiles_pass_hadolint(process: str) -> None:
    """hadolint finds nothing, at any level."""
    hadolint = Path(sys.executable).with_name("hadolint")
    linted = subprocess.run(
        [hadolint, "--format", "json", "--failure-threshold", "style", _dockerfile(process)],
        cwd=ROOT / "docker",
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(linted.stdout) == []
    assert linted.returncode == 0


@pytest.mark.parametrize("process", PROCESSES)
def test_images_install_as_make_does(process: str) -> None:
    """The image runs what `make install` runs, with what speaks to buckets, and installs nothing in another way."""
    # The stamp file serves make alone.
    expected = [command for command in _make_install() if not command.startswith("touch ")]
    assert len(expected) == 2
    expected = [command.replace("[server]", "[server,s3,traces]") for command in expected]
    installing = [run for run in _instructions(process, "RUN") if re.search(r"\b(pip|venv|apt|apt-get|curl)\b", run)]
    assert [command.strip() for run in installing for command in run.split("&&")] == expected


@pytest.mark.parametrize("process", PROCESSES)
def test_sources_come_after_the_installation(process: str) -> None:
    """A change to a source file leaves the layer with torch as it was; no cache of pip's is kept in it."""
    steps = [f"{keyword} {value}" for keyword, value in _steps(process)]
    (install,) = [number for number, step in enumerate(steps) if " install --quiet " in step]
    before = [step for step in steps[:install] if step.startswith(("COPY", "ADD"))]
    assert before == ["COPY pyproject.toml hatch_build.py requirements.lock ./"]
    assert "COPY . ." in steps[install:]
    assert any("PIP_NO_CACHE_DIR=1" in step for step in steps[:install] if step.startswith("ENV"))


def test_images_share_their_layers() -> None:
    """Up to the command both Dockerfiles are one, so that torch is built and stored once."""
    own = ("CMD", "EXPOSE")
    service, worker = ([step for step in _steps(process) if step[0] not in own] for process in PROCESSES)
    assert service == worker


@pytest.mark.parametrize("process", PROCESSES)
def test_command_gets_the_signals(process: str) -> None:
    """The process is a module that exists, is started without a shell between it and SIGTERM, and is not root."""
    *_, (keyword, command) = _steps(process)
    assert keyword == "CMD"
    program, flag, module = json.loads(command)
    assert (program, flag, module) == ("python", "-m", process)
    assert find_spec(f"{module}.__main__") is not None
    (user,) = _instructions(process, "USER")
    (made,) = [run for run in _instructions(process, "RUN") if run.startswith("useradd ")]
    assert user == "1000:1000"
    assert "--uid 1000 " in made


def test_new_volumes_belong_to_the_processes() -> None:
    """The folders under the volumes are made with the processes' owner, which the volumes take over."""
    environment = services_of()["service"]["environment"]
    storage = environment["GAUNTLET_STORAGE_URL"].removeprefix("file://")
    keys = Path(environment["GAUNTLET_SECRET_KEY_FILE"]).parent
    for process in PROCESSES:
        (made,) = [run for run in _instructions(process, "RUN") if run.startswith("useradd ")]
        assert made.endswith(f"install --directory --owner=gauntlet --group=gauntlet {storage} {keys}")


def test_images_hold_the_packages_and_the_documents_and_nothing_else() -> None:
    """What comes along is each package, what installs them, the documents, and no environment, data or secret."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {*pyproject["tool"]["importlinter"]["root_packages"], "migrations"}
    # And what their pages show or offer a copy of.
    documents = {"docs", "*.md", "benchmarks", "docker", "docker-compose.yml"}
    assert patterns[0] == "*"
    admitted = {pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")}
    assert admitted == {"pyproject.toml", "hatch_build.py", "requirements.lock", *packages, *documents}
    assert patterns[-1] == "**/__pycache__"


@pytest.mark.parametrize("process", PROCESSES)
def test_build_names_its_dockerfile(process: str) -> None:
    """The compose file builds each process from its own Dockerfile, with the repository as context."""
    build = services_of()[process]["build"]
    assert build["context"] == "."
    assert ROOT / build["dockerfile"] == _dockerfile(process)
    assert _dockerfile(process).is_file()


def _dockerfile(process: str) -> Path:
    return ROOT / "docker" / f"{process}.Dockerfile"


def _steps(process: str) -> list[tuple[str, str]]:
    """The Dockerfile's instructions as (keyword, arguments), continued lines joined, comments dropped."""
    lines = _dockerfile(process).read_text().splitlines()
    text = "\n".join(line for line in lines if line.strip() and not line.startswith("#"))
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    return [(keyword, rest) for keyword, _, rest in (line.partition(" ") for line in joined.splitlines())]


def _instructions(process: str, keyword: str) -> list[str]:
    return [rest for name, rest in _steps(process) if name == keyword]


def _make_install() -> list[str]:
    # Without what a surrounding `make test` hands down to the makes below it.
    environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(
        ["make", "--dry-run", "--always-make", "--no-print-directory", ".venv/installed", "PYTHON=python3.11"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
