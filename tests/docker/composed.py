"""docker-compose.yml as Compose reads it, and who is in it."""

import re
from pathlib import Path
from typing import Any, Final

import yaml

from service.settings import ServiceSettings
from worker.settings import WorkerSettings

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final = ROOT / "docker-compose.yml"
PROCESSES: Final = ("service", "worker")
WORKERS: Final = ("worker", "worker-gpu")
OURS: Final = ("migrate", "service", *WORKERS)
PREFIX: Final = "GAUNTLET_"


def interpolated(text: str, **given: str) -> str:
    """The text with its `${NAME:-default}` replaced, as Compose does before it reads it."""

    def value(match: re.Match[str]) -> str:
        name, default = match.groups()
        return given.get(name, "") or default

    return re.sub(r"\$\{(\w+):-([^}]*)\}", value, text)


def services_of(**given: str) -> dict[str, Any]:
    """The compose file's services, anchors and variables resolved."""
    services: dict[str, Any] = yaml.safe_load(interpolated(COMPOSE.read_text(), **given))["services"]
    return services


def variables_of(settings: type[ServiceSettings | WorkerSettings]) -> set[str]:
    return {PREFIX + name.upper() for name in settings.model_fields}
