"""Which runs can be computed as one program."""

from collections.abc import Hashable
from typing import Literal

from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.adversaries import FgsmAdversary, NoAdversary
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.objectives import AgentSpec, PairedSpec, PolicyGradient

# Whose kernels compute runs as one; with `auto` Triton's where they were measured to be the faster.
Kernels = Literal["auto", "triton", "torch"]


def kin(spec: RunSpec) -> Hashable | None:
    """What runs must share to be computed as one; None where a run is computed alone in any case.

    They may differ in seed, objective, optimiser with its rates, schedule and length. Of those who can be: the paper's
    network, on images attacked by FGSM in eval mode or not at all, with an objective that looks at one pass.
    """
    training, adversary = spec.training, spec.adversary
    attacked = isinstance(adversary, FgsmAdversary) and adversary.mode == "eval"
    usual = (
        training.mix == "adversarial"
        and training.max_grad_norm is None
        and training.grad_align is None
        and training.awp is None
        and training.guard.action != "n_fgsm"
    )
    objective = spec.objective
    one_pass = not isinstance(objective, AgentSpec | PairedSpec) and not (
        isinstance(objective, PolicyGradient) and objective.action_forward == "eval"
    )
    if not (
        isinstance(spec.architecture, Cnn) and (attacked or isinstance(adversary, NoAdversary)) and usual and one_pass
    ):
        return None
    shared = training.batch_size, training.precision, training.compile, training.augmentation
    return spec.dataset, spec.architecture, spec.normalisation, adversary, spec.evaluation, shared
