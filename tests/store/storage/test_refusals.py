"""A store that refuses this service: told as that, without a key or an address, and mended without a restart."""

import configparser
import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import s3fs

from store import files
from store.storage import BucketStorage, StorageAway, StorageRefused, is_the_storages
from tests.object_store import ObjectStore
from tests.refusing_store import refusing_store

ASKED: dict[str, Callable[[BucketStorage], object]] = {
    "require": lambda storage: storage.require(),
    "look": lambda storage: storage.look(),
    "write": lambda storage: storage.write("run_a/weights", b"content"),
    "read": lambda storage: storage.read("run_a/weights"),
    "holds": lambda storage: storage.holds("run_a/weights"),
    "find": lambda storage: storage.find("run_*/*"),
    "fetch": lambda storage: storage.fetch("run_a/weights", "0" * 64),
    "fetch_folder": lambda storage: storage.fetch_folder("dset_a/content"),
    "delete": lambda storage: storage.delete("run_a/weights"),
    "delete_folder": lambda storage: storage.delete_folder("run_a"),
}


@pytest.fixture(autouse=True)
def read_anew(object_store: ObjectStore) -> Iterator[None]:
    object_store.bucket("refusing")
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        ("AWS_ACCESS_KEY_ID", "another-key", {"the store answers InvalidAccessKeyId", "the store answers Forbidden"}),
        (
            "AWS_SECRET_ACCESS_KEY",
            "another-secret",
            {"the store answers SignatureDoesNotMatch", "the store answers Forbidden"},
        ),
        ("AWS_ENDPOINT_URL", "nowhere:9000", {"the store's address is none"}),
        ("AWS_ENDPOINT_URL", "http://[::1", {"the store's address is none"}),
        (
            "AWS_ENDPOINT_URL",
            "http://nowhere:99999999",
            {"what it is told of the store is not to be used (EndpointResolutionError)"},
        ),
        ("AWS_DEFAULT_REGION", "us-east-1 ", {"what it is told of the store is not to be used (InvalidRegionError)"}),
        ("AWS_PROFILE", "another-profile", {"no credentials for the store were found"}),
        (None, "no-such-bucket", {"the bucket is not there"}),
        (None, "no name", {"what it is told of the store is not to be used (ParamValidationError)"}),
    ],
    ids=[
        *("key", "secret", "address", "unclosed address", "port", "region", "profile"),
        *("bucket", "bucket's name"),
    ],
)
def test_whatever_is_asked_of_it_is_refused(
    object_store: ObjectStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str | None,
    value: str,
    told: set[str],
) -> None:
    """At once, and never taken for a file that is not there, which would be deleted or given up."""
    if setting is not None:
        monkeypatch.setenv(setting, value)
    storage = object_store.storage("refusing" if setting else value, tmp_path, patience_s=90)
    heard = set()
    for ask in ASKED.values():
        with pytest.raises(StorageRefused) as raised:
            ask(storage)
        heard.add(raised.value.strerror)
        assert is_the_storages(raised.value)
        sentence = files.fault(raised.value)
        assert sentence.startswith("The storage refuses the service: ")
        assert not any(secret in sentence for secret in object_store.environment.values())
        assert value not in sentence
    assert heard == told


def test_credentials_that_are_mended_in_their_file_are_read_anew(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the storage that was refused with the old ones: no process has to be started again."""
    right = {name: object_store.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    file = tmp_path / "credentials"
    for name in right:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))

    def write(given: dict[str, str]) -> None:
        parser = configparser.ConfigParser()
        parser["default"] = {name.lower(): value for name, value in given.items()}
        with file.open("w") as opened:
            parser.write(opened)

    write(right | {"AWS_SECRET_ACCESS_KEY": "yesterday's"})
    storage = object_store.storage("refusing", tmp_path)
    with pytest.raises(StorageRefused, match="SignatureDoesNotMatch"):
        storage.write("run_a/weights", b"content")
    write(right)
    storage.write("run_a/weights", b"content")
    assert storage.read("run_a/weights") == b"content"


@pytest.mark.parametrize(
    ("setting", "value", "told"),
    [
        (
            "AWS_CA_BUNDLE",
            "{folder}/nothing.pem",
            "what it is told of the store is not to be used (FileNotFoundError)",
        ),
        ("AWS_CA_BUNDLE", "{folder}", "what it is told of the store is not to be used (IsADirectoryError)"),
        ("AWS_CA_BUNDLE", __file__, "the file of certificates for the store holds none"),
        ("AWS_SESSION_TOKEN", "of\ntwo lines", "what it is told of the store is not to be used (ValueError)"),
        (
            "HTTP_PROXY",
            "http://[::1",
            "what it is told of the store is not to be used (InvalidProxiesConfigError)",
        ),
        ("AWS_ENDPOINT_URL", "{https}", "the store's address says https, and nobody speaks TLS there"),
    ],
    ids=["no certificates", "a folder of them", "another file", "token", "proxy", "no TLS"],
)
def test_what_is_only_met_when_a_connection_is_made_is_refused_too(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, told: str
) -> None:
    """Nothing of it passes with time, so no request is repeated for it, and its operator is told."""
    https = object_store.environment["AWS_ENDPOINT_URL"].replace("http:", "https:")
    monkeypatch.setenv(setting, value.format(folder=tmp_path, https=https))
    if setting == "HTTP_PROXY":
        for name in ("http_proxy", "NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
    storage = object_store.storage("refusing", tmp_path, patience_s=90)
    for name in ("require", "write", "fetch"):
        with pytest.raises(StorageRefused) as raised:
            ASKED[name](storage)
        assert raised.value.strerror == told


@pytest.mark.parametrize("description", [40, 80], ids=["handshake failure", "internal error"])
def test_a_store_that_breaks_the_handshake_off_is_away(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, description: int
) -> None:
    """As a load balancer does whose stores are away: that may pass, so nobody is told to mend a setting."""
    alert = bytes([21, 3, 3, 0, 2, 2, description])

    class Alerts(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1 << 14)
            self.request.sendall(alert)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Alerts) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://127.0.0.1:{server.server_address[1]}")
            with pytest.raises(StorageAway):
                object_store.storage("alerting", tmp_path, patience_s=0.5).require()
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="nothing makes a certificate here")
def test_a_certificate_that_is_not_trusted_is_refused(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's own is not among those that this service is told of; with that it is asked."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(certificate)]
    made += ["-days", "2", "-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with refusing_store(403, "AccessDenied", tls=context) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
        told = []
        for _ in range(2):
            s3fs.S3FileSystem.clear_instance_cache()
            with pytest.raises(StorageRefused) as raised:
                object_store.storage("refusing", tmp_path, patience_s=90).require()
            told.append(raised.value.strerror)
            monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    assert told == ["the store's certificate is not one that is trusted here", "the store answers AccessDenied"]


@pytest.mark.parametrize(("status", "code"), [(400, "ExpiredToken"), (401, "Unauthorized"), (403, "AccessDenied")])
def test_what_is_answered_without_a_body_is_refused_too(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str
) -> None:
    """S3 answers so who asks for a head with a token that expired; the credentials are read anew afterwards."""
    storage = object_store.storage("refusing", tmp_path, patience_s=90)
    storage.write("run_a/weights", b"content")
    s3fs.S3FileSystem.clear_instance_cache()
    with monkeypatch.context() as environment, refusing_store(status, code) as address:
        environment.setenv("AWS_ENDPOINT_URL", address)
        storage = object_store.storage("refusing", tmp_path, patience_s=90)
        for ask in ASKED.values():
            with pytest.raises(StorageRefused, match="the store answers"):
                ask(storage)
    assert storage.holds("run_a/weights")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("credential_process = /bin/false", "the credentials for the store cannot be had (CredentialRetrievalError)"),
        (
            "credential_process = {folder}/nothing",
            "what it is told of the store is not to be used (FileNotFoundError)",
        ),
        ("credential_process = {folder}/config", "what it is told of the store is not to be used (PermissionError)"),
        ("s3 = a text, and no section", "what it is told of the store is not to be used (AttributeError)"),
        ("credential_process = /bin/echo {{", "what it is told of the store is not to be used (JSONDecodeError)"),
        (
            (
                "sso_start_url = https://login.invalid\nsso_region = us-east-1\nsso_account_id = 123456789012\n"
                "sso_role_name = trainer"
            ),
            "the credentials for the store cannot be had (SSOTokenLoadError)",
        ),
        (
            "role_arn = arn:aws:iam::123456789012:role/trainer\nweb_identity_token_file = {folder}/nothing",
            "what it is told of the store is not to be used (FileNotFoundError)",
        ),
    ],
    ids=[
        "process that fails",
        "no process",
        "no program",
        "no section",
        "process without sense",
        "login",
        "no token's file",
    ],
)
def test_credentials_that_cannot_be_had_are_refused(
    object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str, told: str
) -> None:
    """A file of theirs that is not there is never taken for an object that is not."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    file = tmp_path / "config"
    file.write_text("[default]\n" + settings.format(folder=tmp_path) + "\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
    storage = object_store.storage("refusing", tmp_path, patience_s=90)
    for ask in ASKED.values():
        with pytest.raises(StorageRefused) as raised:
            ask(storage)
        assert raised.value.strerror == told
