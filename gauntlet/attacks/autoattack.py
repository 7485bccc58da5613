"""AutoAttack by its authors' code (pyautoattack), driven one batch at a time.

The package's own loop reports progress only to its log, cannot be stopped between batches and does not resume. Its
attacks are therefore called one by one, in its order, on batches of its survivors, each batch from the same seed
as there, so the flags equal those of `run_standard_evaluation` (held by a test) on every model whose gradients are
finite; of others it is given finite ones. What makes them faster is the model they are given
(`gauntlet.attacks.passes`), and a Square and a targeted FAB of our own that make the same images, but for the last bits
of Square's on some processors (`gauntlet.attacks.square`, `gauntlet.attacks.fab`).
"""

from collections.abc import Callable
from typing import Any, assert_never

import torch
from pyautoattack import AutoAttack
from torch import Tensor, nn

from gauntlet.attacks.fab import Steps, fab_targeted
from gauntlet.attacks.known_layers import stack_of
from gauntlet.attacks.passes import Passes, passes_of
from gauntlet.attacks.square import square
from gauntlet.attacks.windows import Windowed
from gauntlet.spec.evaluations import attacks as attack_specs
from gauntlet.spec.evaluations.attacks import ApgdCe, ApgdT, FabT, Square
from gauntlet.spec.evaluations.ensembles import parts_of

# From images and labels to Square's margins and losses, [n] each.
_Judge = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

# What these authors' code does: one of its attacks, or an ensemble of them.
Authored = attack_specs.AutoAttack | ApgdCe | ApgdT | FabT | Square

# Each part's nominal cost in model passes per image, a backward pass as two: 100 steps, 9 targets × 100 steps,
# 9 targets × 100 steps and a look at each, 5,000 queries. Used for progress only.
_COSTS = {"apgd-ce": 300, "apgd-dlr": 300, "apgd-t": 2_700, "fab": 3_000, "fab-t": 3_600, "square": 5_000}
# Restarts in `plus`, gradients averaged for each step in `rand`.
_REPEATED = {
    "plus": {"apgd-ce": 5, "apgd-dlr": 5, "fab": 5},
    "rand": {"apgd-ce": 20, "apgd-dlr": 20},
}
_TARGETS = 9
# In the place of an infinite slope: its square, summed over an image, is a number in fp32 as well.
_STEEPEST = 1e15


def parts(attack: Authored) -> dict[str, int]:
    """The package's names of its attacks that this one is made of, in their order, with their nominal cost."""
    match attack:
        case attack_specs.AutoAttack(version=version):
            repeated = _REPEATED.get(version, {})
            return {part: _COSTS[part] * repeated.get(part, 1) for part in parts_of(attack) if part in _COSTS}
        case ApgdCe(restarts=restarts):
            return {"apgd-ce": _COSTS["apgd-ce"] * restarts}
        case Square(queries=queries):
            return {"square": queries}
        case ApgdT() | FabT():
            return {attack.kind: _COSTS[attack.kind]}
        case _:
            assert_never(attack)


def _finite(gradient: Tensor) -> Tensor:
    return gradient.nan_to_num(nan=0, posinf=_STEEPEST, neginf=-_STEEPEST)


class _RowMajor(nn.Module):
    """The model with gradients in plain NCHW memory order, and its logits times `scale`.

    The package reads gradients with `view`, which fails on the channels-last ones of a channels-last model. Flattening
    costs nothing forward and copies the gradient into plain order backward. Under L2 it divides them by their length,
    so one that is not a number at a single pixel would make such an image of it, and one that is infinite, or too large
    to be squared, leaves no step: there it is taken for zero, and for `_STEEPEST`.
    """

    def __init__(self, model: nn.Module, scale: float) -> None:
        super().__init__()
        self.model = model
        self.scale = scale

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(1).unflatten(1, images.shape[1:])
        if rows.requires_grad:
            rows.register_hook(_finite)
        logits: Tensor = self.model(rows)
        return logits if self.scale == 1 else logits * self.scale


def _without_ties(judge: _Judge) -> _Judge:
    """Square's judge, which puts margins that are all broken but for exact ties below zero.

    A tie counts as broken when Square looks whom to go on with, but not when it looks, before its first query, whether
    everyone is. Between the two it would go on with nobody, which fails under L2 (github.com/fra31/auto-attack, #81).
    """

    def judged(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        margins, losses = judge(images, labels)
        return margins - 1 if bool((margins <= 0).all()) else margins, losses

    return judged


class AuthoredAttack:
    """The package's attacks as `attack` asks for them, against one model.

    With fewer than ten classes the targeted ones try every wrong class, as there are fewer than nine. `scale`, a power
    of two, multiplies the logits of a model whose own are so small that the package's constants (1e-12 beside a
    divisor, 1e-8 for the least slope) would decide instead.
    """

    def __init__(
        self, model: nn.Module, attack: Authored, classes: int, device: torch.device, *, scale: float = 1
    ) -> None:
        version = (
            attack.version if isinstance(attack, attack_specs.AutoAttack) and attack.version != "few" else "standard"
        )
        self._passes = passes_of(model, device, remembers=True)
        self._attacks = AutoAttack(
            _RowMajor(self._passes, scale),
            norm=attack.norm,
            eps=float(attack.eps),
            version=version,
            device=device,
        )
        self._attacks.square.margin_and_loss = _without_ties(self._attacks.square.margin_and_loss)
        stack = stack_of(model) if attack.norm == "Linf" and device.type == "cpu" else None
        self._windowed = None if stack is None else Windowed(model, stack)
        self._eps, self._norm = attack.eps, attack.norm
        targets = min(_TARGETS, classes - 1)
        self._attacks.apgd_targeted.n_target_classes = targets
        self._attacks.fab.n_target_classes = targets
        if isinstance(attack, ApgdCe):
            self._attacks.apgd.n_restarts = attack.restarts
        if isinstance(attack, Square):
            self._attacks.square.n_queries = attack.queries
        self._restarts_of_fab = self._attacks.fab.n_restarts

    def perturb(self, part: str, images: Tensor, labels: Tensor, seed: int) -> Tensor:
        """Attack a batch with one part.

        Args:
            part: one of `parts`.
            images: float32 in [0, 1], [n, c, h, w]; labels: int64 [n].
            seed: every batch of an evaluation starts from the same one, as in the reference.

        Returns:
            float32 in [0, 1], [n, c, h, w]. The caller's random state is left as it was.
        """
        if part == "square" and self._windowed is not None:
            queries = self._attacks.square.n_queries
            return square(self._windowed, images, labels, self._eps, queries=queries, seed=seed)
        if part == "fab-t" and self._norm == "Linf":
            return self._fab(images.contiguous(), labels)
        attack = self._prepared(part)
        attack.seed = seed
        with torch.random.fork_rng(), torch.no_grad():
            adversarial: Tensor = attack.perturb(images.contiguous(), labels)
        self._forget()
        return adversarial

    def _fab(self, images: Tensor, labels: Tensor) -> Tensor:
        package = self._attacks.fab
        steps = Steps(package.n_iter, package.eta, package.beta, package.alpha_max)
        targets = package.n_target_classes
        found = fab_targeted(self._attacks.model, images, labels, package.eps, targets=targets, steps=steps)
        self._forget()
        return found

    def _forget(self) -> None:
        if isinstance(self._passes, Passes):
            self._passes.forget()

    def _prepared(self, part: str) -> Any:
        """The package's object for a part, set as its own loop sets it."""
        package = self._attacks
        match part:
            case "apgd-ce" | "apgd-dlr":
                package.apgd.loss = part.removeprefix("apgd-")
                return package.apgd
            case "apgd-t":
                return package.apgd_targeted
            case "fab" | "fab-t":
                package.fab.targeted = part == "fab-t"
                package.fab.n_restarts = 1 if package.fab.targeted else self._restarts_of_fab
                return package.fab
            case "square":
                return package.square
            case _:
                raise ValueError(f"AutoAttack has no part {part}.")
