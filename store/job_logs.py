"""The log of a job, for whoever reads it over HTTP: rows, as its worker may be on another machine."""

from collections.abc import Sequence

from sqlalchemy import delete, exists, insert, literal, or_, select
from sqlalchemy.orm import Session

from store.models import Evaluation, LoggedLines, Run

# Of one statement.
_MOST_READ = 10_000


def append(session: Session, job_id: str, lines: Sequence[str]) -> None:
    """Add lines to a job's log; not to that of one that was deleted meanwhile, with whose log they would have gone.

    PostgreSQL shows a row until its deletion is committed, so who deletes the job and who adds lines wait for each
    other.
    """
    rows = (select(model.id).where(model.id == job_id) for model in (Run, Evaluation))
    is_there = (exists(row.with_for_update(read=True, key_share=True)) for row in rows)
    row = select(literal(job_id), literal(len(lines)), literal("\n".join(lines))).where(or_(*is_there))
    session.execute(insert(LoggedLines).from_select(["job_id", "lines", "text"], row))


def read(session: Session, job_id: str, *, after: int, limit: int) -> list[str]:
    """At most `limit` lines of a job's log, in order, without the first `after`."""
    counts = select(LoggedLines.id, LoggedLines.lines).where(LoggedLines.job_id == job_id).order_by(LoggedLines.id)
    wanted: list[int] = []
    skipped = found = 0
    for identifier, count in session.execute(counts):
        if skipped + count <= after and not wanted:
            skipped += count
            continue
        wanted.append(identifier)
        found += count
        if found >= limit + after - skipped or len(wanted) == _MOST_READ:
            break
    if not wanted:
        return []
    between = LoggedLines.id.between(wanted[0], wanted[-1])
    texts = select(LoggedLines.text).where(LoggedLines.job_id == job_id, between).order_by(LoggedLines.id)
    lines = [line for text in session.scalars(texts) for line in text.split("\n")]
    return lines[after - skipped :][:limit]


def forget(session: Session, job_ids: Sequence[str]) -> None:
    """Forget the logs of deleted jobs."""
    session.execute(delete(LoggedLines).where(LoggedLines.job_id.in_(job_ids)))
