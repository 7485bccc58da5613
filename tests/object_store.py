"""A real server of S3's protocol: rclone's, whose binary comes as a Python package. Its buckets are folders."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader

from cli.machine.processes import die_with_parent
from store.storage import BucketStorage, FetchedCache, Scratch
from store.storage.requests import client

_KEY, _SECRET = "a-key", "a-secret"
_PATIENCE_S = 90.0


class ObjectStore:
    """It may be stopped and started again; buckets outlive that."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What boto reads."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._port}",
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Serve, once it answers."""
        command = [str(Path(sys.executable).with_name("rclone")), "serve", "s3", str(self.folder)]
        options = ["--addr", f"127.0.0.1:{self._port}", "--auth-key", f"{_KEY},{_SECRET}"]
        # Tests change a file's bytes behind its back. What is in folders it keeps in mind until it is started again;
        # where it is told not to (--dir-cache-time 0s) it was seen to wait for itself for good.
        options += ["--local-no-check-updated"]
        self._process = subprocess.Popen(
            [*command, *options],
            env=os.environ | {"RCLONE_CONFIG": os.devnull},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Nothing else would end it where pytest is killed.
            preexec_fn=die_with_parent,  # noqa: PLW1509  # called from the main thread only
        )
        until = time.monotonic() + _PATIENCE_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return
            time.sleep(0.02)
        raise TimeoutError("rclone does not answer.")

    def stop(self) -> None:
        """Let nothing answer there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def bucket(self, name: str) -> Path:
        """Make a bucket of that name, an empty one; where its objects lie as files."""
        asked = client(_PATIENCE_S)
        if (self.folder / name).exists():
            for key in asked.find(name):
                asked.rm_file(key)
        else:
            asked.call_s3("create_bucket", Bucket=name)
        return self.folder / name

    def storage(self, name: str, home: Path, *, patience_s: float = 0.0) -> BucketStorage:
        """What lies below a prefix of that bucket, for one machine."""
        cache = FetchedCache(home / "fetched", 1 << 30)
        return BucketStorage(name, "team/one", Scratch(home / "scratch"), cache, patience_s, answer_s=_PATIENCE_S)


@contextmanager
def running_object_store(folder: Path) -> Iterator[ObjectStore]:
    """A server for this process, whose environment says where it is."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(Loader, "__init__", _knowing(Loader.__init__))
        yield from _running(ObjectStore(folder))


def _knowing(make: Callable[..., None]) -> Callable[..., None]:
    """Have all of botocore's loaders keep what they read in one place.

    Each client would read anew what is said of S3, which is most of what a test takes that makes some.
    """
    known: dict[Any, Any] = {}

    def begin(self: Loader, *args: Any, **given: Any) -> None:
        make(self, *args, **given)
        self._cache = known

    return begin


def _running(store: ObjectStore) -> Iterator[ObjectStore]:
    before = {name: os.environ.get(name) for name in store.environment}
    os.environ.update(store.environment)
    store.start()
    try:
        yield store
    finally:
        store.stop()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
