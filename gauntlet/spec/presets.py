"""Named experiments. A request may say `{"preset": NAME}` and override any field of it.

`paper` is the comparison of arXiv 2012.04353; where the paper is silent the values are an interpretation
(docs/experiments.md). `quickstart` is the same comparison on the bundled digits, in about two minutes on two cores.
"""

from collections.abc import Mapping
from typing import Any

PAPER: dict[str, Any] = {
    "name": "paper",
    "dataset": {"name": "cifar10"},
    "architecture": {"kind": "cnn"},
    "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}],
    "adversary": {"kind": "fgsm", "eps": "8/255"},
    "training": {
        "epochs": 220,
        "batch_size": 32,
        "optimizer": {"kind": "rmsprop", "lr": 1e-4, "decay": 1e-6},
        "checkpoint_every": 20,
    },
    "seeds": [0],
    "evaluation": {
        "select": ["best_fgsm", "last"],
        "attacks": [{"kind": "fgsm", "eps": "8/255"}, {"kind": "autoattack", "eps": "8/255"}],
        "samples": 10_000,
        "masking": {},
    },
}

QUICKSTART: dict[str, Any] = {
    "name": "quickstart",
    "dataset": {"name": "digits"},
    "architecture": {"kind": "cnn"},
    "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}],
    "adversary": {"kind": "fgsm", "eps": "32/255"},
    "training": {
        "epochs": 40,
        "batch_size": 32,
        "optimizer": {"kind": "rmsprop", "lr": 3e-4, "decay": 1e-6},
        "checkpoint_every": 10,
    },
    "seeds": [0],
    "evaluation": {
        "select": ["best_fgsm"],
        "attacks": [{"kind": "fgsm", "eps": "32/255"}, {"kind": "autoattack", "eps": "32/255"}],
        "samples": 50,
        "masking": {"samples": 50},
    },
}

PRESETS: dict[str, dict[str, Any]] = {"paper": PAPER, "quickstart": QUICKSTART}

DESCRIPTIONS: dict[str, str] = {
    "paper": "The comparison of arXiv 2012.04353 on CIFAR-10.",
    "quickstart": "The same comparison on the bundled digits, in about two minutes on two cores.",
}

_TAGS = ("kind", "name")


def overlay(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `override` over `base`, field by field; lists and values are replaced whole.

    A nested object that names another `kind` (or data set) replaces the base's: its fields belong to another type.
    """
    merged = dict(base)
    for key, value in override.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping) and is_of_one_type(below, value):
            merged[key] = overlay(below, value)
        else:
            merged[key] = value
    return merged


def is_of_one_type(below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether an object names no other type than the one below it."""
    return all(above.get(tag, below.get(tag)) == below.get(tag) for tag in _TAGS)
