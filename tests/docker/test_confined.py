"""docker-compose.yml in production: what containers may do, where secrets lie, and who says whether it is well."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.docker.composed import COMPOSE, OURS, ROOT, WORKERS, interpolated, services_of


def test_the_password_is_a_secret_file() -> None:
    """All that speak to PostgreSQL have it from the same file, and it stands in no URL and no environment."""
    services = services_of()
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD_FILE"] == "/run/secrets/postgres_password"
    for name in OURS:
        environment = services[name]["environment"]
        assert environment["GAUNTLET_DATABASE_PASSWORD_FILE"] == "/run/secrets/postgres_password"
        assert environment["GAUNTLET_DATABASE_URL"] == "postgresql://gauntlet@postgres:5432/gauntlet"
    assert {name for name in services if "postgres_password" in services[name].get("secrets", ())} == {
        "postgres",
        *OURS,
    }
    variables = {variable for each in services.values() for variable in each.get("environment", ())}
    assert not {variable for variable in variables if "PASSWORD" in variable and not variable.endswith("_FILE")}


def test_every_secret_is_a_file_that_git_leaves_out() -> None:
    """Those that are asked for are declared, each below secrets/ unless it is said otherwise."""
    declared = yaml.safe_load(interpolated(COMPOSE.read_text()))["secrets"]
    assert {secret for each in services_of().values() for secret in each.get("secrets", ())} == set(declared)
    assert {name: each["file"] for name, each in declared.items()} == {name: f"./secrets/{name}" for name in declared}
    assert "/secrets/" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_first_token_is_a_secret_and_the_key_outlives_its_container() -> None:
    """Only the service has them, the token from a file on the host, the key on a volume apart from the database."""
    services = services_of()
    environment = services["service"]["environment"]
    assert environment["GAUNTLET_FIRST_TOKEN_FILE"] == "/run/secrets/first_token"
    assert f"keys:{Path(environment['GAUNTLET_SECRET_KEY_FILE']).parent}" in services["service"]["volumes"]
    assert [name for name in services if "first_token" in services[name].get("secrets", ())] == ["service"]


def test_no_container_is_more_than_it_needs_to_be() -> None:
    """None is root, gains privileges, has capabilities, or writes into its image; each says whether it is well."""
    for name, service in services_of().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "pid", "network_mode"} & service.keys(), name
        assert service.get("user") == {"postgres": "postgres", "redis": "redis", "proxy": "nginx"}.get(name), name
        assert ("healthcheck" in service) is (name != "migrate"), name


def test_no_log_fills_the_disk() -> None:
    """What a container writes is kept up to 100 MB, the newest; by Docker's default it is all kept, for good."""
    for name, service in services_of().items():
        bounds = {"driver": "local", "options": {"max-size": "20m", "max-file": "5"}}
        assert service["logging"] == bounds, name


@pytest.mark.parametrize("name", OURS)
def test_what_processes_write_lies_in_volumes(name: str) -> None:
    """Their home and where temporary files go, on a disk: what is uploaded or decoded may be larger than memory."""
    service = services_of()[name]
    assert {service["environment"]["GAUNTLET_HOME"], "/tmp"} <= set(map(str, service["volumes"]))
    assert "tmpfs" not in service


def test_a_worker_is_well_while_it_tells_that_it_lives(tmp_path: Path) -> None:
    """By the file that its settings name, which must be there and a minute old at most."""
    alive = tmp_path / "alive"
    for name in WORKERS:
        service = services_of()[name]
        file = service["environment"]["GAUNTLET_ALIVE_FILE"]
        keyword, *command = service["healthcheck"]["test"]
        assert keyword == "CMD"
        assert file in command[-1]
        here = [part.replace(file, str(alive)) for part in command]
        alive.unlink(missing_ok=True)
        assert subprocess.run(here, check=False, capture_output=True).returncode == 1
        alive.touch()
        assert subprocess.run(here, check=False).returncode == 0
        os.utime(alive, (alive.stat().st_mtime - 70,) * 2)
        assert subprocess.run(here, check=False).returncode == 1
