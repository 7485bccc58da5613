"""How the runs of an experiment went, epoch by epoch, for whoever draws all of them at once."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from gauntlet.resources import RunSeries, Series
from store.models import EpochMetrics, Run
from store.subjects import experiments


def of_experiment(session: Session, experiment_id: str, names: Collection[str]) -> Series:
    """The metrics of these names of every run, in the order of the runs; all metrics where none is named.

    Raises:
        NotFound: there is no such experiment.
    """
    experiments.get(session, experiment_id)
    current = Run.experiment_id == experiment_id, Run.retried_by.is_(None)
    runs = session.execute(select(Run.id, Run.objective, Run.seed).where(*current).order_by(Run.ordinal)).all()
    recorded = select(EpochMetrics.run_id, EpochMetrics.epoch, EpochMetrics.metrics)
    of_them = recorded.join(Run, Run.id == EpochMetrics.run_id).where(*current)
    by_run: dict[str, list[tuple[int, dict[str, float]]]] = {run.id: [] for run in runs}
    known: dict[str, None] = {}
    for run_id, epoch, metrics in session.execute(of_them.order_by(EpochMetrics.run_id, EpochMetrics.epoch)):
        by_run[run_id].append((epoch, metrics))
        known |= dict.fromkeys(metrics)
    shown = [name for name in known if name in names] if names else list(known)
    return Series(
        experiment=experiment_id,
        metrics=tuple(sorted(known)),
        runs=tuple(
            RunSeries(
                run=run.id,
                objective=run.objective,
                seed=run.seed,
                epochs=tuple(epoch for epoch, _ in by_run[run.id]),
                values={
                    name: tuple(_rounded(metrics.get(name)) for _, metrics in by_run[run.id]) for name in sorted(shown)
                },
            )
            for run in runs
        ),
    )


def _rounded(value: float | None) -> float | None:
    # More digits would be read as noise, and a long sweep's answer is half as large for it.
    return None if value is None else float(f"{value:.5g}")
