"""docker/nginx.conf in front of a real API: TLS, and what a proxy must not spoil."""

import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gauntlet.spec.asked.tokens import TokenRequest
from service.settings import ServiceSettings
from store import events
from store.accounts import secret_key, tokens
from store.database import Database
from store.events import News
from tests.e2e.system import await_that
from tests.service.serving import serving

CONFIGURATION = Path(__file__).parents[2] / "docker/nginx.conf"
NAME = "gauntlet.example.org"
_MISSING = [program for program in ("nginx", "curl", "openssl") if shutil.which(program) is None]

pytestmark = pytest.mark.skipif(bool(_MISSING), reason=f"not on this machine: {', '.join(_MISSING)}")


def free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def nginx_version() -> tuple[int, ...]:
    said = subprocess.run(["nginx", "-v"], check=True, capture_output=True, text=True).stderr
    found = re.search(r"nginx/([0-9.]+)", said)
    assert found is not None
    return tuple(map(int, found[1].split(".")))


class Proxy:
    """The proxy as the container has it, but for where it listens, writes, and finds its secrets and the API."""

    def __init__(self, api: str, folder: Path) -> None:
        self._folder = folder
        self._certificate = folder / "tls_certificate"
        self.well, self.plain, self.tls = free_ports(3)
        text = CONFIGURATION.read_text()
        if nginx_version() < (1, 25, 1):
            text = text.replace("listen 8443 ssl;", "listen 8443 ssl http2;").replace("http2 on;", "")
        replaced = {
            "/run/secrets/": f"{folder}/",
            " /tmp/": f" {folder}/",
            "http://service:8000": api,
            "127.0.0.1:8081": f"127.0.0.1:{self.well}",
            "listen 8080": f"listen 127.0.0.1:{self.plain}",
            "listen 8443": f"listen 127.0.0.1:{self.tls}",
        }
        for known, here in replaced.items():
            assert known in text
            text = text.replace(known, here)
        # Started as root it would serve as somebody who may not enter the folder.
        self._configuration = folder / "nginx.conf"
        self._configuration.write_text(f"user root;\n{text}" if os.getuid() == 0 else text)

    @contextmanager
    def running(self) -> Iterator[None]:
        made = [
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-subj",
            f"/CN={NAME}",
        ]
        into = ["-keyout", str(self._folder / "tls_key"), "-out", str(self._certificate)]
        names = ["-addext", f"subjectAltName=DNS:{NAME}"]
        subprocess.run(["openssl", *made, *names, *into], check=True, capture_output=True)
        command = ["nginx", "-c", str(self._configuration), "-p", str(self._folder)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            asked = ["curl", "--silent", "--fail", f"http://127.0.0.1:{self.well}/"]
            await_that(lambda: subprocess.run(asked, check=False).returncode == 0)
            yield
        finally:
            process.terminate()
            _, said = process.communicate(timeout=30)
        assert said == ""

    def command(self, path: str, *more: str) -> list[str]:
        """How a client asks that trusts the certificate, by name."""
        whom = ["--cacert", str(self._certificate), "--resolve", f"{NAME}:{self.tls}:127.0.0.1"]
        return ["curl", "--silent", "--no-buffer", "--max-time", "60", *whom, f"https://{NAME}:{self.tls}{path}", *more]

    def answer(self, path: str, *more: str) -> str:
        """The answer's head and body."""
        return told(self.command(path, "--include", *more))


def told(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.replace("\r", "")


def test_the_api_behind_tls(tmp_path: Path, sqlite_url: str) -> None:
    """By HTTP/2, with a session for HTTPS alone, events as they happen, and the API's own bounds and refusals."""
    settings = ServiceSettings(
        home=tmp_path / "home",
        database_url=sqlite_url,
        broker_url=f"redis+socket://{tmp_path}/nobody.sock",
        allowed_hosts=(NAME,),
        trusted_proxies=("127.0.0.1",),
    )
    key = secret_key.read_or_make(settings.secret_key_file)
    database = Database(sqlite_url)
    with database.writing() as session:
        _, token = tokens.create(session, key, TokenRequest(owner="ada", scope="submit"))
    shown = ("--header", f"Authorization: Bearer {token}")
    with serving(settings) as api:
        proxy = Proxy(api, tmp_path)
        with proxy.running():
            well = proxy.answer("/healthz")
            assert well.startswith("HTTP/2 200")
            assert "\nstrict-transport-security: max-age=31536000\n" in well
            assert "\nserver: nginx\n" in well
            plain = f"{NAME}:{proxy.plain}"
            moved = told(["curl", "-si", "--resolve", f"{plain}:127.0.0.1", f"http://{plain}/v1/runs?limit=2"])
            assert moved.startswith("HTTP/1.1 301")
            assert f"\nLocation: https://{NAME}/v1/runs?limit=2\n" in moved

            # Who is asked for, and that it is by HTTPS, comes through; what the client claims of itself does not.
            login = ("--json", json.dumps({"token": token}), "--header", "X-Forwarded-Proto: http", "--header")
            same = proxy.answer("/v1/session", *login, f"Origin: https://{NAME}:{proxy.tls}")
            assert same.startswith("HTTP/2 201")
            assert re.search(r"\nset-cookie: __Host-gauntlet_session=.*; Secure", same)
            assert proxy.answer("/v1/session", *login, "Origin: https://elsewhere.example").startswith("HTTP/2 403")
            assert proxy.answer("/healthz", "--header", "Host: rebound.example").startswith("HTTP/2 421")

            # More than nginx lets through unless it is told to.
            (tmp_path / "large").write_bytes(b"no picture" * (1 << 18))
            form = ("--form", "checkpoint=ckpt_01m8gca9mwr8drwjspxq1qbary", "--form", f"image=@{tmp_path}/large")
            large = proxy.answer("/v1/classifications", *shown, *form)
            assert large.startswith("HTTP/2 404")
            assert "ckpt_01m8gca9mwr8drwjspxq1qbary" in large

            streaming = proxy.command("/v1/events", *shown, "--header", "Accept: text/event-stream")
            with subprocess.Popen(streaming, stdout=subprocess.PIPE, text=True) as listening:
                lines = iter(listening.stdout.readline, "") if listening.stdout else iter(())
                # The stream has begun; what happens then comes while it is open.
                next(lines)
                with database.writing() as session:
                    events.tell(session, News("note", "said", "run_1", "Something happened.", "exp_1"))
                assert any("Something happened." in line for line in lines)
                assert listening.poll() is None
                listening.terminate()
    database.close()
