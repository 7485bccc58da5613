"""Which objectives go with which adversaries and ways of training."""

from collections.abc import Iterator, Sequence
from typing import assert_never

from gauntlet.spec.kinds import faulty_fields
from gauntlet.spec.runs.adversaries import AdversarySpec, FgsmAdversary, NFgsmAdversary, NoAdversary
from gauntlet.spec.runs.architectures import ArchitectureSpec, Custom, Torchvision
from gauntlet.spec.runs.objectives import A2c, AgentSpec, Dqn, ObjectiveSpec, PairedSpec, Ppo
from gauntlet.spec.runs.optimizers import OneCycle, Sgd
from gauntlet.spec.runs.training import TrainingSpec

# (Field, its value, what is wrong with it)
Fault = tuple[tuple[str, ...], object, str]


def refuse_unfit(
    objectives: Sequence[ObjectiveSpec],
    adversary: AdversarySpec,
    training: TrainingSpec,
    architecture: ArchitectureSpec,
) -> None:
    """See that every objective can train this network in this way, with this adversary.

    Raises:
        ValidationError: one cannot; it names each field that is in the way and says what is possible.
    """
    agents = [objective for objective in objectives if isinstance(objective, AgentSpec)]
    paired = [objective for objective in objectives if isinstance(objective, PairedSpec)]
    faults = [*_faults_of_agents(agents, adversary, training), *_faults_of_pairs(paired, adversary, training)]
    if agents and isinstance(architecture, Torchvision | Custom):
        whose = "torchvision" if isinstance(architecture, Torchvision) else "your own"
        why = f"{_kinds(agents)} cannot train a network of {whose}: agents need to know its last layer"
        faults.append((("architecture", "kind"), architecture.kind, why))
    if training.compile == "on" and isinstance(architecture, Custom):
        why = "cannot have a network of your own compiled, which may be any code: take auto or off"
        faults.append((("training", "compile"), training.compile, why))
    if training.compile == "on" and (training.grad_align is not None or training.awp is not None):
        why = "cannot be compiled with grad_align or awp, whose steps differentiate twice: take auto or off"
        faults.append((("training", "compile"), training.compile, why))
    faults += [*_faults_of_guard(agents, adversary, training), *_faults_of_schedule(agents, training)]
    if faults:
        raise faulty_fields((place, value, f"objective {why}") for place, value, why in faults)


def _faults_of_pairs(paired: Sequence[PairedSpec], adversary: AdversarySpec, training: TrainingSpec) -> Iterator[Fault]:
    """They look at each image twice, natural and attacked."""
    if not paired:
        return
    named = _kinds(paired)
    if training.mix != "adversarial":
        why = f"{named} sees both versions of every image by itself: mix must be adversarial, not {training.mix}"
        yield ("training", "mix"), training.mix, why
    if isinstance(adversary, NoAdversary):
        why = f"{named} compares natural with attacked images: it needs an adversary"
        yield ("adversary", "kind"), adversary.kind, why
    if isinstance(adversary, FgsmAdversary) and adversary.loss == "objective":
        why = f"{named} cannot be what the attack ascends: use true_label, or an adversary pgd with loss divergence"
        yield ("adversary", "loss"), adversary.loss, why


def _faults_of_guard(agents: Sequence[AgentSpec], adversary: AdversarySpec, training: TrainingSpec) -> Iterator[Fault]:
    """What it puts in the adversary's place attacks under L∞, and must differ from it."""
    if training.guard.action != "n_fgsm":
        return
    place, action = ("training", "guard", "action"), training.guard.action
    if agents:
        yield place, action, f"{_kinds(agents)} cannot go on with n_fgsm: guard's action must be warn or stop"
    if isinstance(adversary, NoAdversary | NFgsmAdversary) or adversary.norm != "Linf":
        which = f"{adversary.kind} under {adversary.norm}"
        yield place, action, f"cannot be trained on with n_fgsm after {which}: guard's action must be warn or stop"


def _faults_of_schedule(agents: Sequence[AgentSpec], training: TrainingSpec) -> Iterator[Fault]:
    """A momentum that follows the rate is that of plain SGD, in a loop of ours."""
    schedule, optimizer = training.schedule, training.optimizer
    if not isinstance(schedule, OneCycle) or schedule.lowest_momentum is None:
        return
    place, lowest = ("training", "schedule", "lowest_momentum"), schedule.lowest_momentum
    if agents:
        yield place, lowest, f"{_kinds(agents)} cannot be trained with a momentum that follows the rate"
    if not isinstance(optimizer, Sgd) or optimizer.nesterov:
        yield place, lowest, "cannot be trained so: only the momentum of sgd without nesterov follows the rate"
    elif optimizer.momentum <= lowest:
        yield place, lowest, f"cannot be trained so: the momentum at the peak must be below sgd's {optimizer.momentum}"


def _faults_of_agents(agents: Sequence[AgentSpec], adversary: AdversarySpec, training: TrainingSpec) -> list[Fault]:
    """They are trained by a library in its own way, on attacked images or on natural ones."""
    if not agents:
        return []
    faults: list[Fault] = [
        (place, value, f"{_kinds(agents)} cannot be trained with {value}, only with {' or '.join(possible)}")
        for place, value, possible in _unfit_for_agents(adversary, training)
    ]
    lonely = [agent for agent in agents if _normalises_one_image(agent, training.batch_size)]
    if lonely:
        why = f"{_kinds(lonely)} cannot normalise the advantage of one image"
        faults.append((("training", "batch_size"), training.batch_size, why))
    return faults


def _unfit_for_agents(
    adversary: AdversarySpec, training: TrainingSpec
) -> Iterator[tuple[tuple[str, str], object, tuple[str, ...]]]:
    """(Field, its value, what it may be) of all that agents cannot do."""
    for name, possible in (("mix", ("adversarial",)), ("compile", ("auto", "off"))):
        if getattr(training, name) not in possible:
            yield ("training", name), getattr(training, name), possible
    for name in ("max_grad_norm", "augmentation", "grad_align", "awp"):
        if getattr(training, name) is not None:
            yield ("training", name), f"training.{name}", ("null",)
    match adversary:
        case FgsmAdversary():
            for name, only in (("loss", "true_label"), ("mode", "eval"), ("warmup_epochs", 0.0)):
                if getattr(adversary, name) != only:
                    yield ("adversary", name), getattr(adversary, name), (str(only),)
        case NoAdversary():
            pass
        case _:
            yield ("adversary", "kind"), adversary.kind, ("fgsm", "none")


def _kinds(objectives: Sequence[AgentSpec | PairedSpec]) -> str:
    return ", ".join(dict.fromkeys(objective.kind for objective in objectives))


def _normalises_one_image(agent: AgentSpec, batch_size: int) -> bool:
    match agent:
        case A2c(normalize_advantage=normalize, n_steps=n_steps):
            return normalize and batch_size * n_steps == 1
        case Ppo(normalize_advantage=normalize):
            return normalize and batch_size == 1
        case Dqn():
            return False
        case _:
            assert_never(agent)
