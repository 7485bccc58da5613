"""Named experiments. A request may say `{"preset": NAME}` and override any field of it.

`paper` is the comparison of arXiv 2012.04353 in the reading that comes nearest to its numbers, where the paper is
silent; `paper_sampled` is another (docs/experiments.md). `quickstart` is the sampled one on the bundled digits, in
about two minutes on two free cores. What the others, and these, are to come to is in `gauntlet.spec.reproductions`.
"""

from collections.abc import Mapping
from typing import Any

PAPER: dict[str, Any] = {
    "name": "paper",
    "dataset": {"name": "cifar10"},
    "architecture": {"kind": "cnn"},
    "objectives": [
        {"kind": "cross_entropy"},
        {"kind": "policy_gradient", "action": "argmax", "baseline": "batch_mean"},
    ],
    "adversary": {"kind": "fgsm", "eps": "8/255"},
    "training": {
        "epochs": 220,
        "batch_size": 128,
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

# Keras' cifar10_cnn, which the paper's network is, trains in batches of 32; a sampled action needs no baseline.
PAPER_SAMPLED: dict[str, Any] = PAPER | {
    "name": "paper_sampled",
    "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}],
    "training": PAPER["training"] | {"batch_size": 32},
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

_SGD = {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
_AUTOATTACK = {"kind": "autoattack", "eps": "8/255"}

# locuslab/fast_adversarial, CIFAR10/train_fgsm.py with its defaults; tests hold each update to theirs.
WONG2020: dict[str, Any] = {
    "name": "wong2020",
    "dataset": {"name": "cifar10"},
    "architecture": {"kind": "preactresnet18"},
    # Their budgets are divided by the std, and are these in pixels.
    "normalisation": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2471, 0.2435, 0.2616]},
    "objectives": [{"kind": "cross_entropy"}],
    "adversary": {"kind": "fgsm_rs", "eps": "8/255", "step": 1.25, "mode": "train"},
    "training": {
        "epochs": 15,
        "batch_size": 128,
        "optimizer": _SGD | {"lr": 0.2},
        # CyclicLR moves the momentum too where nothing is said of it, from 0.9 to 0.8 and back.
        "schedule": {"kind": "one_cycle", "peak": 0.5, "lowest_momentum": 0.8},
        "augmentation": {"flip": True, "crop_padding": 4},
        "checkpoint_every": 15,
    },
    "seeds": [0],
    "evaluation": {
        "select": ["last"],
        "attacks": [{"kind": "pgd", "eps": "8/255", "steps": 50, "restarts": 10}, _AUTOATTACK],
        "samples": 10_000,
    },
}

# Harry24k/MAIR's example, and its notebook of it; augmentation, of which neither says anything, is as most have it.
MADRY: dict[str, Any] = {
    "name": "madry",
    "dataset": {"name": "cifar10"},
    "architecture": {"kind": "resnet18"},
    # The notebook's numbers, whose std is pytorch-cifar's and not that of all pixels.
    "normalisation": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]},
    "objectives": [{"kind": "cross_entropy"}],
    "adversary": {"kind": "pgd", "eps": "8/255", "steps": 10, "step": 0.25},
    "training": {
        "epochs": 200,
        "batch_size": 128,
        "optimizer": _SGD,
        "schedule": {"kind": "step", "milestones": [0.5, 0.75], "factor": 0.1},
        "augmentation": {"flip": True, "crop_padding": 4},
        "checkpoint_every": 5,
    },
    "seeds": [0],
    "evaluation": {"select": ["best_fgsm", "last"], "attacks": [_AUTOATTACK], "samples": 10_000},
}

# MAIR's, whose numbers it is to come to; the authors' own code trains a WRN-34-10 and normalises nothing.
TRADES: dict[str, Any] = MADRY | {
    "name": "trades",
    "objectives": [{"kind": "trades", "beta": 6.0}],
    "adversary": MADRY["adversary"] | {"loss": "divergence"},
}

PRESETS: dict[str, dict[str, Any]] = {
    "paper": PAPER,
    "paper_sampled": PAPER_SAMPLED,
    "quickstart": QUICKSTART,
    "wong2020": WONG2020,
    "madry": MADRY,
    "trades": TRADES,
}

DESCRIPTIONS: dict[str, str] = {
    "paper": "The comparison of arXiv 2012.04353 on CIFAR-10: the predicted class as action, batches of 128.",
    "paper_sampled": "The same comparison in another reading: sampled actions, batches of 32.",
    "quickstart": "The same comparison on the bundled digits, in about two minutes on two free cores.",
    "wong2020": "Fast adversarial training with FGSM from a random start, PreActResNet-18 on CIFAR-10.",
    "madry": "Adversarial training with PGD, ResNet-18 on CIFAR-10.",
    "trades": "TRADES, ResNet-18 on CIFAR-10.",
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
