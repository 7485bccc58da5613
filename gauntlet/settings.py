"""Settings come from the environment, prefix `GAUNTLET_`; a misspelt one is refused, and so is a value out of bounds.

All processes of a Gauntlet may be given one environment, so each knows the names of the settings of all.
"""

import difflib
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Final, Self

from annotated_types import Ge, Le
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX: Final = "GAUNTLET_"
# Of the store, the service, the workers and the client.
NAMES: Final = (
    "HOME", "DATABASE_URL", "DATABASE_PASSWORD_FILE", "BROKER_URL", "STORAGE_URL", "CACHE", "MAX_CACHED_BYTES",
    "DATA_ROOT", "TRACES", "LOG_FORMAT", "ARCHITECTURES",
    "HOST", "PORT", "ALLOWED_HOSTS", "TRUSTED_PROXIES", "AUTH", "SECRET_KEY_FILE", "FIRST_TOKEN_FILE", "SESSION_S",
    "QUOTA_JOBS", "QUOTA_BYTES", "QUOTA_UPLOADS", "QUOTA_ADMINS",
    "MAX_JSON_BYTES", "MAX_UPLOAD_BYTES", "MAX_WEIGHTS_BYTES", "MAX_DATASET_BYTES", "MAX_IMAGE_PIXELS",
    "MAX_DECODING_S", "MAX_IMPORT_S", "MAX_ATTACK_S", "CLASSIFY_PRECISION",
    "DEVICE", "WORKER_SLOTS", "THREADS", "HELPS", "WORKER_NAME", "ALIVE_FILE", "LEASE_S", "HEARTBEAT_S", "RECONCILE_S",
    "RETRY_S", "SWEEP_S", "EVENTS_DAYS", "AUDIT_DAYS", "RETRY_DAYS", "STATE_EVERY_S", "DATABASE_PATIENCE_S",
    "STOP_GRACE_S", "WEBHOOK_NETWORKS", "FUSED_RUNS", "FUSED_KERNELS", "DEVICES_PER_RUN",
    "MAX_UNPACKED_BYTES", "MAX_UNPACKING_S", "MAX_DECODED_BYTES", "MAPPED_FROM_BYTES",
    "URL", "TOKEN",
)  # fmt: skip  # a line for each process
# What Kubernetes sets in every container beside a service whose name begins with `gauntlet`.
_SERVICE_LINK = re.compile(r"\w+_SERVICE_(HOST|PORT)(_\w+)?|\w+_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?")


class SettingsInvalid(Exception):
    """The environment names a setting that there is not, or gives one a value that is not allowed."""


@dataclass(frozen=True)
class Said:
    """What people are told of a setting where its type and its default do not say it."""

    allowed: str | None = None
    default: str | None = None


def _network(text: str) -> str:
    ip_network(text)
    return text


def listed(text: object) -> object:
    """The names of a list with commas or spaces between them."""
    return tuple(text.lower().replace(",", " ").split()) if isinstance(text, str) else text


Networks = Annotated[tuple[Annotated[str, AfterValidator(_network)], ...], NoDecode, BeforeValidator(listed)]
Port = Annotated[int, Field(ge=0, le=65_535)]
# Thirty years: what a thread can be told to wait for has an end.
PositiveSeconds = Annotated[
    float,
    Field(gt=0, le=1e9, allow_inf_nan=False),
    Said(allowed="a number of seconds above 0, at most a thousand million"),
]


class Settings(BaseSettings):
    """What one process reads. Made directly, a value that is not allowed raises pydantic's error."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, frozen=True)

    @classmethod
    def from_environment(cls) -> Self:
        """The settings as the environment has them.

        Raises:
            SettingsInvalid: a sentence for each variable that is misspelt or has a value that is not allowed.
        """
        faults = _misspelt(os.environ) + _given_twice(os.environ)
        try:
            settings = cls()
        except ValidationError as error:
            faults += [_sentence(cls.model_fields, fault) for fault in error.errors()]
        if faults:
            raise SettingsInvalid(" ".join(faults))
        return settings


def require_no_arguments(arguments: Sequence[str]) -> None:
    """Refuse what a process is told otherwise than by its environment, such as `--port 9000`.

    Raises:
        SettingsInvalid: there are some.
    """
    if arguments:
        told = f"{arguments[0][:60]!r} is nothing that this process takes: its settings are environment variables, "
        raise SettingsInvalid(f"{told}such as {PREFIX}PORT; `gauntlet settings` lists them.")


def allowed_values(field: FieldInfo) -> str:
    """What a setting may be, such as `a whole number from 0 to 65535`."""
    said = [entry.allowed for entry in field.metadata if isinstance(entry, Said) and entry.allowed]
    if said:
        return said[0]
    if field.annotation is not int:
        return "a path" if field.annotation is Path else "text"
    least = [f"from {entry.ge}" for entry in field.metadata if isinstance(entry, Ge)]
    most = [f"to {entry.le}" for entry in field.metadata if isinstance(entry, Le)]
    return " ".join(["a whole number", *least, *most])


def _misspelt(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable with the prefix that is no setting."""
    return [
        f"{variable} is no setting of Gauntlet; {_hint(variable.upper().removeprefix(PREFIX))}"
        for variable in sorted(environment)
        if variable.upper().startswith(PREFIX)
        and variable.upper().removeprefix(PREFIX) not in NAMES
        and not _SERVICE_LINK.fullmatch(variable)
    ]


def _given_twice(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each that is set in small and in large letters, to different values: which counts nobody knows."""
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for variable in sorted(environment):
        if variable.upper().startswith(PREFIX) and environment[variable]:
            spellings[variable.upper()].append(variable)
    return [
        f"{' and '.join(several)} are one setting with two values; unset all but one."
        for several in spellings.values()
        if len({environment[variable] for variable in several}) > 1
    ]


def _hint(name: str) -> str:
    nearest = difflib.get_close_matches(name, NAMES, n=1)
    return f"did you mean {PREFIX}{nearest[0]}?" if nearest else "`gauntlet settings` lists those there are."


def _sentence(fields: Mapping[str, FieldInfo], fault: Mapping[str, Any]) -> str:
    if not fault["loc"]:
        return str(fault["ctx"]["error"])
    name = str(fault["loc"][0])
    # A URL may hold a password.
    given = "" if name.endswith(("url", "token")) else f", not {str(fault['input'])[:60]!r}"
    return f"{PREFIX}{name.upper()} must be {allowed_values(fields[name])}{given}."
