"""What systems whose processes are ended are asked to do, and how to ask a service that may die of it."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError

from gauntlet.client import GauntletClientError

SEEDS = (0, 1, 2)
# What is lost stays so; with fifteen processes to a core an evaluation that was killed three times took eleven minutes.
PATIENCE_S = 1_800.0

# Whose network is right often enough for attacks to have something to do.
ATTACKED: Mapping[str, Any] = {
    "name": "attacked",
    "dataset": {"name": "digits"},
    "objectives": [{"kind": "cross_entropy"}],
    "adversary": {"kind": "fgsm", "eps": "8/255"},
    "training": {"epochs": 4, "batch_size": 32, "optimizer": {"kind": "rmsprop", "lr": 1e-3}, "compile": "off"},
    "evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 16},
}
# Long enough for others to help with it, a few of them after one another.
LONG: Mapping[str, Any] = {"attacks": [{"kind": "pgd", "eps": "8/255", "steps": 200}], "samples": 40, "batch_size": 1}

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
