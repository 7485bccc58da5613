"""Where a Gauntlet keeps its things: what all its processes are told."""

from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from gauntlet.settings import Said, Settings
from gauntlet.spec.kinds import AnyDataset, Uploaded
from store import logs

# sockaddr_un holds 108 bytes with its terminator.
_LONGEST_SOCKET_PATH = 107
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


def _folder(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise ValueError("not a folder")
    return url


class StoreSettings(Settings):
    """Database, broker and files. Unset or empty ones are the embedded default's, below `home`."""

    home: Annotated[Path, Said(default="./var")] = Field(
        default=Path("var"), description="The data folder; the next four lie in it unless they are set."
    )
    database_url: Annotated[
        str,
        AfterValidator(_shared_database),
        Said(
            allowed="a database as sqlite:///path/of/file or postgresql://user@host/name",
            default="sqlite:///HOME/gauntlet.db",
        ),
    ] = Field(default="", description="SQLite or PostgreSQL. libpq takes a password from PGPASSWORD as well.")
    broker_url: Annotated[
        str,
        AfterValidator(_known_broker),
        Said(
            allowed="a broker as redis://host:6379/0, rediss://…, sentinel://… or redis+socket:///path",
            default="redis+socket://HOME/broker.sock",
        ),
    ] = Field(default="", description="Redis or Valkey.")
    storage_url: Annotated[
        str, AfterValidator(_folder), Said(allowed="a folder as file:///path", default="file://HOME/checkpoints")
    ] = Field(default="", description="Where checkpoint files and uploaded data sets lie.")
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
    log_format: logs.Form = Field(default="text", description="How each process logs: lines for people, or JSON lines.")

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
        }
        given = {key: value for key, value in values.items() if value not in (None, "")}
        return defaults | given | {"home": home}

    @property
    def one_machine(self) -> bool:
        """Whether all workers are on this machine, as SQLite demands."""
        return self.database_url.startswith("sqlite")

    @property
    def storage(self) -> Path:
        """The folder that holds checkpoint files."""
        return Path(unquote(urlsplit(self.storage_url).path))

    def root_of(self, dataset: AnyDataset) -> Path:
        """Where a data set lies: below the storage if it was uploaded, else below the data root."""
        return self.storage if isinstance(dataset, Uploaded) else self.data_root


def socket_path_fits(path: Path) -> bool:
    """Whether a unix socket can lie at `path`."""
    return len(bytes(path)) <= _LONGEST_SOCKET_PATH
