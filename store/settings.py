"""Where a Gauntlet keeps its things: read from the environment, prefix `GAUNTLET_`."""

from pathlib import Path
from typing import Annotated, Self
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# sockaddr_un holds 108 bytes with its terminator.
_LONGEST_SOCKET_PATH = 107


class StoreSettings(BaseSettings):
    """Database, broker and files. Unset ones are the embedded default's, below `home`."""

    model_config = SettingsConfigDict(env_prefix="GAUNTLET_", frozen=True)

    home: Path = Path("var")
    database_url: str = ""
    broker_url: str = ""
    storage_url: str = ""
    data_root: Path = Path()

    @model_validator(mode="before")
    @classmethod
    def _below_home(cls, values: dict[str, object]) -> dict[str, object]:
        home = Path(str(values.get("home", "var"))).expanduser().resolve()
        defaults = {
            "database_url": f"sqlite:///{home / 'gauntlet.db'}",
            "broker_url": f"redis+socket://{home / 'broker.sock'}",
            "storage_url": (home / "checkpoints").as_uri(),
            "data_root": home / "data",
        }
        given = {key: value for key, value in values.items() if value not in (None, "")}
        return defaults | given | {"home": home}

    @model_validator(mode="after")
    def _storage_is_a_folder(self) -> Self:
        if not self.storage_url.startswith("file://"):
            raise ValueError("GAUNTLET_STORAGE_URL must be a folder as file:///path: checkpoints are kept in files.")
        return self

    @property
    def one_machine(self) -> bool:
        """Whether all workers are on this machine, as SQLite demands."""
        return self.database_url.startswith("sqlite")

    @property
    def storage(self) -> Path:
        """The folder that holds checkpoint files."""
        return Path(unquote(urlsplit(self.storage_url).path))


def socket_path_fits(path: Path) -> bool:
    """Whether a unix socket can lie at `path`."""
    return len(bytes(path)) <= _LONGEST_SOCKET_PATH


PositiveSeconds = Annotated[float, Field(gt=0)]
