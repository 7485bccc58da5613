"""One service with a trained run, and a picture."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image

from gauntlet.data.datasets import load_split
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Digits
from service.app import create_app
from service.settings import ServiceSettings
from tests.service.conftest import train_a_run


@pytest.fixture(scope="package")
def settings(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, broker_url: str) -> ServiceSettings:
    """One service for all tests of this folder, which only read."""
    home = tmp_path_factory.mktemp("service")
    shutil.copy(migrated_sqlite, home / "gauntlet.db")
    return ServiceSettings(
        home=home,
        broker_url=broker_url,
        allowed_hosts=("testserver",),
        max_upload_bytes=200_000,
        max_image_pixels=250_000,
    )


@pytest.fixture(scope="package")
def run(settings: ServiceSettings, tiny_spec: ExperimentSpec) -> str:
    """Its trained run."""
    return train_a_run(settings, tiny_spec)


@pytest.fixture(scope="package")
def api(settings: ServiceSettings) -> Iterator[TestClient]:
    """Its client."""
    with TestClient(create_app(settings), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="package")
def checkpoints(api: TestClient, run: str) -> list[str]:
    """Its two checkpoints, newest first."""
    return [item["id"] for item in api.get("/v1/checkpoints", params={"run": run}).json()["data"]]


@pytest.fixture
def digit() -> Image.Image:
    """A held-out digit as a grey picture of the model's own size."""
    test, _ = load_split(Digits(), "test", Path("unused"))
    return Image.fromarray(test.images[5, 0].numpy())
