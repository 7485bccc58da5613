"""Every setting of every process, as `gauntlet settings` prints them and docs/settings.md lists them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic.fields import FieldInfo

from gauntlet.client.settings import ClientSettings
from gauntlet.settings import PREFIX, Said, Settings, allowed_values
from service.settings import ServiceSettings
from store.settings import StoreSettings
from store.texts import masked
from worker.settings import WorkerSettings

# In the order in which they are listed; a setting that several read is described by the first.
_PROCESSES: Final[Mapping[str, type[Settings]]] = {
    "service": ServiceSettings,
    "worker": WorkerSettings,
    "client": ClientSettings,
}
_SECRET = "token"  # noqa: S105  # the setting's name


@dataclass(frozen=True)
class ListedSetting:
    """One setting, in words, and who reads it."""

    name: str
    default: str
    allowed: str
    meaning: str
    read_by: tuple[str, ...]

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()


def listed_settings() -> list[ListedSetting]:
    """All settings: the store's, which service and workers share, then each process's own."""
    fields: dict[str, FieldInfo] = dict(StoreSettings.model_fields)
    for kind in _PROCESSES.values():
        fields = fields | {name: field for name, field in kind.model_fields.items() if name not in fields}
    return [
        ListedSetting(
            name=name,
            default=_default(field),
            allowed=allowed_values(field),
            meaning=field.description or "",
            read_by=tuple(process for process, kind in _PROCESSES.items() if name in kind.model_fields),
        )
        for name, field in fields.items()
    ]


def current_values() -> dict[str, str]:
    """What each setting is in this environment, without passwords.

    Raises:
        SettingsInvalid: the environment's are not valid.
    """
    values: dict[str, Any] = {}
    for kind in _PROCESSES.values():
        values = dict(kind.from_environment()) | values
    return {name: _shown(name, value) for name, value in values.items()}


def as_markdown() -> str:
    """The table of docs/settings.md."""
    rows = [
        "| variable | default | what it may be | what it is | read by |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows += [
        f"| `{each.variable}` | {each.default} | {each.allowed} | {each.meaning} | {', '.join(each.read_by)} |"
        for each in listed_settings()
    ]
    return "\n".join(rows)


def _default(field: FieldInfo) -> str:
    said = [entry.default for entry in field.metadata if isinstance(entry, Said) and entry.default]
    return said[0] if said else _shown("", field.default)


def _shown(name: str, value: Any) -> str:
    if name == _SECRET:
        return "***" if value else ""
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else masked(str(value))
