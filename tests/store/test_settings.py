"""Settings come from the environment and default to the embedded system's."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import make_url

from gauntlet.settings import SettingsInvalid
from store.settings import StoreSettings
from store.traces import sending


def test_everything_lies_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One variable moves database, broker, checkpoints and data."""
    monkeypatch.setenv("GAUNTLET_HOME", str(tmp_path))
    settings = StoreSettings()
    assert settings.database_url == f"sqlite:///{tmp_path}/gauntlet.db"
    assert settings.broker_url == f"redis+socket://{tmp_path}/broker.sock"
    assert settings.storage.root == tmp_path / "checkpoints"
    assert settings.data_root == tmp_path / "data"


def test_each_place_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """A given URL wins over the default; an empty one counts as not given."""
    monkeypatch.setenv("GAUNTLET_DATABASE_URL", "postgresql://db/gauntlet")
    monkeypatch.setenv("GAUNTLET_STORAGE_URL", "file:///srv/checkpoints")
    monkeypatch.setenv("GAUNTLET_BROKER_URL", "")
    settings = StoreSettings()
    assert settings.database_url == "postgresql://db/gauntlet"
    assert settings.storage.root == Path("/srv/checkpoints")
    assert settings.broker_url.startswith("redis+socket://")


def test_a_home_may_have_a_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage's URL is decoded to the very folder."""
    monkeypatch.setenv("GAUNTLET_HOME", str(tmp_path / "my home"))
    assert StoreSettings().storage.root == tmp_path / "my home" / "checkpoints"


def test_a_bucket_and_what_its_paths_begin_with(tmp_path: Path) -> None:
    """Copies lie below home; what speaks to the store is loaded with the first request only."""
    program = (
        "import sys; from store.settings import StoreSettings; "
        f"storage = StoreSettings(home={str(tmp_path)!r}, storage_url='s3://files/team/one/').storage; "
        "print(storage, storage.cache.folder, {'s3fs', 'botocore', 'sqlalchemy'} & set(sys.modules))"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["s3://files/team/one", str(tmp_path / "cache/fetched"), "set()"]


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    """Whatever signs it has, without the line feed that an editor puts behind it, as PostgreSQL's image reads it."""
    file = tmp_path / "password"
    file.write_bytes("p@:/%ü #\r\n".encode())
    url = "postgresql://gauntlet@db:5432/gauntlet?sslmode=require"
    read = make_url(StoreSettings(database_url=url, database_password_file=file).database_url)
    assert read == make_url(url).set(password="p@:/%ü #\r")


@pytest.mark.parametrize(
    ("url", "content", "told"),
    [
        ("postgresql://db/gauntlet", b"secret", "that names a user and no password"),
        ("postgresql://me:secret@db/gauntlet", b"secret", "that names a user and no password"),
        ("sqlite:////srv/gauntlet.db", b"secret", "of PostgreSQL"),
        ("postgresql://me@db/gauntlet", b"\n", "names a file that holds no password"),
        ("postgresql://me@db/gauntlet", b"\xff", "cannot be read: it is no text"),
        ("postgresql://me@db/gauntlet", None, "cannot be read: No such file or directory"),
    ],
)
def test_a_password_that_is_none_or_goes_with_no_url_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, content: bytes | None, told: str
) -> None:
    """In a sentence that names the setting, and shows no password."""
    file = tmp_path / "password"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("GAUNTLET_DATABASE_URL", url)
    monkeypatch.setenv("GAUNTLET_DATABASE_PASSWORD_FILE", str(file))
    with pytest.raises(SettingsInvalid, match=f"GAUNTLET_DATABASE_PASSWORD_FILE .*{told}") as refused:
        StoreSettings.from_environment()
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2@collector:4318", "must be a URL as http://collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://[hunter2", "must be a URL as http://collector:4318"),
    ],
)
def test_traces_that_could_not_be_sent_are_refused(
    variable: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where they are asked for, in a sentence that does not say what may be a password."""
    monkeypatch.setenv(variable, value)
    StoreSettings.from_environment()
    monkeypatch.setenv("GAUNTLET_TRACES", "on")
    with pytest.raises(SettingsInvalid, match=told) as refused:
        StoreSettings.from_environment()
    assert "hunter2" not in str(refused.value)


def test_what_is_said_of_traces_counts_before_what_is_said_of_all_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """So a collector that takes metrics by another protocol keeps nobody from sending spans."""
    monkeypatch.setenv("GAUNTLET_TRACES", "on")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/protobuf")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://collector:4318/v1/traces")
    assert StoreSettings.from_environment().traces == "on"


def test_traces_want_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start without it says in one line what to install."""
    monkeypatch.setenv("GAUNTLET_TRACES", "on")
    monkeypatch.setattr(sending, "find_spec", lambda _: None)
    with pytest.raises(SettingsInvalid, match=r"install gauntlet\[server,traces\]\.$"):
        StoreSettings.from_environment()
