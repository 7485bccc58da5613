"""What systems whose processes are ended are asked to do, and how to ask a service that may die of it."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from gauntlet.client import GauntletClientError

SEEDS = (0, 1, 2)
PATIENCE_S = 600.0

Answer = TypeVar("Answer")


def document(seed: int, *, epochs: int = 4) -> dict[str, Any]:
    """An experiment of seconds."""
    return {
        "name": f"seed {seed}",
        "dataset": {"name": "digits", "train_samples": 96},
        "objectives": [{"kind": "policy_gradient"}],
        "adversary": {"kind": "fgsm", "eps": "8/255"},
        "training": {"epochs": epochs, "checkpoint_every": epochs // 2, "compile": "off"},
        "seeds": [seed],
        "evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 16, "batch_size": 8},
    }


def persist(ask: Callable[[], Answer]) -> Answer:
    """Ask until there is an answer: the service, or the database, may be ended in the middle of it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask()
        except GauntletClientError as error:
            if not error.may_pass or time.monotonic() > deadline:
                raise
        except DBAPIError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)
