"""What a request says, as JSON."""

import json
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gauntlet.client.errors import GauntletClientError
from gauntlet.spec.kinds import Spec


def submission(document: Spec | Mapping[str, Any], idempotency_key: str | None) -> dict[str, Any]:
    return body(document, {"Idempotency-Key": idempotency_key or uuid.uuid4().hex})


def body(document: Spec | Mapping[str, Any], headers: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
    return {"content": written(document), "headers": {"Content-Type": "application/json", **headers}}


def written(document: Spec | Mapping[str, Any]) -> str:
    if isinstance(document, Spec):
        return document.model_dump_json()
    try:
        return json.dumps(dict(document), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GauntletClientError(f"The request cannot be written as JSON: {error}.") from error
