"""Where a Gauntlet keeps its things: what all its processes are told."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar, Self
from urllib.parse import quote, unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from gauntlet.settings import Said, Settings
from gauntlet.spec.kinds import AnyDataset, Uploaded
from store import logs
from store.storage import BucketStorage, FetchedCache, FolderStorage, Scratch, Storage
from store.traces.sending import Traces, require_sendable

# sockaddr_un holds 108 bytes with its terminator.
_LONGEST_SOCKET_PATH = 107
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SQLITE = "sqlite:///"
_POSTGRESQL = ("postgresql://", "postgresql+psycopg://")
_BROKERS = ("redis://", "rediss://", "redis+socket://", "sentinel://")


def _shared_database(url: str) -> str:
    path = url.removeprefix(_SQLITE)
    if not url.startswith(_POSTGRESQL) and (path in (url, "") or path.startswith(":memory:")):
        raise ValueError("not a database that processes share")
    return url


def _known_broker(url: str) -> str:
    if not url.startswith(_BROKERS):
        raise ValueError("not a broker that is known")
    return url


def _folder_or_bucket(url: str) -> str:
    parts = urlsplit(url)
    is_folder = parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/")
    is_bucket = parts.scheme == "s3" and _BUCKET.fullmatch(parts.netloc) and not parts.query and not parts.fragment
    if not is_folder and not is_bucket:
        raise ValueError("neither a folder nor a bucket")
    return url


def _with_password(url: str, file: Path) -> str:
    """The URL with the password that the file holds, without line feeds behind it, as PostgreSQL's image reads it."""
    said = "GAUNTLET_DATABASE_PASSWORD_FILE"
    parts = urlsplit(url)
    user, _, hosts = parts.netloc.rpartition("@")
    if not url.startswith(_POSTGRESQL) or not user or ":" in user:
        raise ValueError(f"{said} goes with a GAUNTLET_DATABASE_URL of PostgreSQL that names a user and no password.")
    try:
        password = file.read_bytes().rstrip(b"\n").decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ValueError(f"{said} cannot be read: {reason}.") from error
    if not password:
        raise ValueError(f"{said} names a file that holds no password.")
    return parts._replace(netloc=f"{user}:{quote(password, safe='')}@{hosts}").geturl()


class StoreSettings(Settings):
    """Database, broker and files. Unset or empty ones are the embedded default's, below `home`."""

    home: Annotated[Path, Said(default="./var")] = Field(
        default=Path("var"),
        description="The data folder; database, broker, files, copies and data lie in it unless they are set.",
    )
    database_url: Annotated[
        str,
        AfterValidator(_shared_database),
        Said(
            allowed="a database as sqlite:///path/of/file or postgresql://user@host/name",
            default="sqlite:///HOME/gauntlet.db",
        ),
    ] = Field(default="", description="SQLite or PostgreSQL. libpq takes a password from PGPASSWORD as well.")
    database_password_file: Annotated[Path | None, Said(allowed="a file", default="none")] = Field(
        default=None, description="A file with PostgreSQL's password, such as a container's secret, and nothing else."
    )
    broker_url: Annotated[
        str,
        AfterValidator(_known_broker),
        Said(
            allowed="a broker as redis://host:6379/0, rediss://…, sentinel://… or redis+socket:///path",
            default="redis+socket://HOME/broker.sock",
        ),
    ] = Field(default="", description="Redis or Valkey.")
    storage_url: Annotated[
        str,
        AfterValidator(_folder_or_bucket),
        Said(allowed="a folder as file:///path or a bucket as s3://bucket/prefix", default="file://HOME/checkpoints"),
    ] = Field(
        default="",
        description="Where checkpoints, states, pictures and uploaded data sets lie. A bucket's store and credentials "
        "are boto's to know (AWS_ENDPOINT_URL, AWS_SHARED_CREDENTIALS_FILE, …).",
    )
    cache: Annotated[Path, Said(default="HOME/cache")] = Field(
        default=Path(), description="Where copies lie of what a process reads from a bucket, and what is on its way."
    )
    max_cached_bytes: Annotated[int, Said(default="100 GiB")] = Field(
        default=100 << 30,
        ge=0,
        description="About how many bytes of copies are kept in it; what was used within the last hour stays.",
    )
    data_root: Annotated[Path, Said(default="HOME/data")] = Field(
        default=Path(), description="Image folders, Parquet, and torchvision's archives in `torchvision/`."
    )

    architectures: Annotated[
        str, Said(allowed="package.module:mapping, several with commas between them", default="none")
    ] = Field(
        default="",
        pattern=r"^ *(([A-Za-z_]\w*\.)*[A-Za-z_]\w*:[A-Za-z_]\w*( *, *|$))*$",
        description="Networks of your own: mappings from names to builders, in packages installed beside the workers.",
    )
    traces: Annotated[Traces, Said(allowed="on or off")] = Field(
        default="off",
        description="Whether spans of requests and of the jobs that they queue are sent by OTLP, to where "
        "OpenTelemetry's own variables say (OTEL_EXPORTER_OTLP_ENDPOINT, …).",
    )
    log_format: logs.Form = Field(default="text", description="How each process logs: lines for people, or JSON lines.")

    # A request is waited for, and holds one of few threads; a worker's job can wait longer.
    _storage_patience_s: ClassVar[float] = 3.0
    _storage_answer_s: ClassVar[float] = 5.0

    @model_validator(mode="before")
    @classmethod
    def _below_home(cls, values: dict[str, object]) -> dict[str, object]:
        try:
            home = Path(str(values.get("home") or "var")).expanduser().resolve()
        except RuntimeError as error:
            raise ValueError("GAUNTLET_HOME begins with the home of a user whom there is not.") from error
        defaults = {
            "database_url": f"{_SQLITE}{home / 'gauntlet.db'}",
            "broker_url": f"redis+socket://{home / 'broker.sock'}",
            "storage_url": (home / "checkpoints").as_uri(),
            "data_root": home / "data",
            "cache": home / "cache",
        }
        given = {key: value for key, value in values.items() if value not in (None, "")}
        return defaults | given | {"home": home}

    @model_validator(mode="after")
    def _knows_the_password(self) -> Self:
        if self.database_password_file is not None:
            url = _with_password(self.database_url, self.database_password_file)
            object.__setattr__(self, "database_url", url)
        return self

    @model_validator(mode="after")
    def _speaks_s3(self) -> Self:
        if self.storage_url.startswith("s3:") and find_spec("s3fs") is None:
            raise ValueError("GAUNTLET_STORAGE_URL names a bucket, which takes s3fs: install gauntlet[server,s3].")
        return self

    @model_validator(mode="after")
    def _sends_spans(self) -> Self:
        if self.traces == "on":
            require_sendable()
        return self

    @property
    def one_machine(self) -> bool:
        """Whether all workers are on this machine, as SQLite demands."""
        return self.database_url.startswith("sqlite")

    @property
    def storage(self) -> Storage:
        """What holds checkpoints, states, pictures and uploaded data sets."""
        parts = urlsplit(self.storage_url)
        if parts.scheme == "file":
            return FolderStorage(Path(unquote(parts.path)))
        return BucketStorage(
            bucket=parts.netloc,
            prefix=unquote(parts.path).strip("/"),
            scratch=Scratch(self.cache / "scratch"),
            cache=FetchedCache(self.cache / "fetched", self.max_cached_bytes),
            patience_s=self._storage_patience_s,
            answer_s=self._storage_answer_s,
        )

    def root_of(self, dataset: AnyDataset) -> Path:
        """The folder that a data set lies below: where the storage has it if it was uploaded, else the data root.

        Raises:
            OSError: the storage does not answer.
        """
        if not isinstance(dataset, Uploaded):
            return self.data_root
        # Imported here: the commands that only talk to a service start without SQLAlchemy.
        from store import dataset_files

        return dataset_files.fetch(self.storage, dataset.id)


def socket_path_fits(path: Path) -> bool:
    """Whether a unix socket can lie at `path`."""
    return len(bytes(path)) <= _LONGEST_SOCKET_PATH
