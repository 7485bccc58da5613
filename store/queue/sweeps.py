"""Sweeps that stop runs early: which one goes on is decided where its epoch is recorded, by Optuna.

Each decision is stored with the run, once and for all: an attempt that does the epoch again after a crash finds it.
What it is depends on the values that runs of the same objective had recorded at that epoch before, and on nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import and_, func, select, update
from sqlalchemy.orm import Session

from gauntlet.report.sweeps import SweepResult, TrialRun, metric_of, sweep_result
from gauntlet.spec.evaluations.evaluation import ExperimentEvaluationSpec
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.sweeps import Sweep, Trial
from store.database import take_turn
from store.models import EpochMetrics, Experiment, Run
from store.queue import jobs
from store.queue.jobs import Claim

STOPPED_EARLY = "stopped_early"


def goes_on(session: Session, held: Claim, epoch: int, metrics: Mapping[str, float]) -> bool:
    """Decide whether the run trains on after that epoch; if not, it has ended with the caller's transaction.

    The caller holds the job in this transaction, and records the epoch in it.

    Raises:
        LeaseLost: the run is no longer this attempt's.
    """
    run = session.get_one(Run, held.id)
    if run.trial is None:
        return True
    experiment = session.get_one(Experiment, run.experiment_id)
    sweep = Sweep.model_validate(experiment.spec["sweep"])
    rungs = sweep.rungs(run.spec["training"]["epochs"])
    if epoch not in rungs:
        return True
    decided = {int(rung): value for rung, value in run.trial.get("rungs", {}).items()}
    if epoch in decided:
        return True
    take_turn(session, f"sweep {run.experiment_id}")
    evaluation = ExperimentEvaluationSpec.model_validate(run.spec["evaluation"])
    value = metrics[metric_of(sweep, evaluation)]
    others = _recorded(session, run, epoch)
    trial = run.trial | {"rungs": run.trial.get("rungs", {}) | {str(epoch): value}}
    session.execute(update(Run).where(Run.id == run.id).values(trial=trial))
    if is_promoted(value, others, sweep.reduction):
        return True
    better = sum(other > value for other in others)
    detail = (
        f"The sweep stopped it after epoch {epoch} of {run.spec['training']['epochs']}: {better} of the {len(others)} "
        f"other runs that had come so far were better there, and one in {sweep.reduction} goes on."
    )
    jobs.finish(session, held, "succeeded", STOPPED_EARLY, detail)
    forgotten = {"resume_path": None, "resume_sha256": None, "resume_bytes": None}
    session.execute(update(Run).where(Run.id == run.id).values(forgotten))
    return False


def trial_of(run: Run) -> Trial | None:
    """The trial that a run is of, if its experiment is a sweep."""
    known = {name: run.trial[name] for name in Trial.model_fields} if run.trial is not None else None
    return None if known is None else Trial.model_validate(known)


def result(session: Session, spec: ExperimentSpec, runs: Sequence[Run]) -> SweepResult | None:
    """The trials ranked as far as they have come; None of an experiment without a sweep."""
    if spec.sweep is None:
        return None
    metric = metric_of(spec.sweep, spec.evaluation)
    recorded = select(EpochMetrics.run_id, func.max(EpochMetrics.epoch).label("epoch"))
    newest = recorded.where(EpochMetrics.run_id.in_([run.id for run in runs])).group_by(EpochMetrics.run_id).subquery()
    of_newest = select(EpochMetrics).join(
        newest, and_(EpochMetrics.run_id == newest.c.run_id, EpochMetrics.epoch == newest.c.epoch)
    )
    last = {row.run_id: row for row in session.scalars(of_newest)}
    found = [
        TrialRun(
            trial=trial,
            label=run.objective,
            epoch=last[run.id].epoch if run.id in last else None,
            value=last[run.id].metrics.get(metric) if run.id in last else None,
            complete=run.status == "succeeded" and run.status_reason != STOPPED_EARLY,
            stopped=run.status_reason == STOPPED_EARLY,
        )
        for run in runs
        if (trial := trial_of(run)) is not None
    ]
    return sweep_result(spec.sweep, spec.evaluation, found)


def is_promoted(value: float, others: list[float], reduction: int) -> bool:
    """Whether a run with that value goes on, by Optuna's asynchronous successive halving; larger is better."""
    # Imported here: it takes half a second, and most runs are of no sweep.
    import optuna
    from optuna.trial import TrialState, create_trial

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=reduction)
    study = optuna.create_study(direction="maximize", pruner=pruner)
    # One rung is all that this study has, whichever it is of the sweep.
    for other in others:
        rung: dict[str, Any] = {"completed_rung_0": other}
        study.add_trial(create_trial(state=TrialState.PRUNED, intermediate_values={1: other}, system_attrs=rung))
    trial = study.ask()
    trial.report(value, 1)
    return not trial.should_prune()


def _recorded(session: Session, run: Run, epoch: int) -> list[float]:
    """What other runs of the objective had after that epoch, in the order of their trials."""
    assert run.trial is not None
    others = select(Run.trial).where(
        Run.experiment_id == run.experiment_id, Run.id != run.id, Run.trial.is_not(None), Run.retried_by.is_(None)
    )
    return [
        trial["rungs"][str(epoch)]
        for trial in session.scalars(others.order_by(Run.ordinal))
        if trial is not None and trial["objective"] == run.trial["objective"] and str(epoch) in trial.get("rungs", {})
    ]
