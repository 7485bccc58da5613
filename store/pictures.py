"""Files of the attacked pictures that evaluations keep: a part for each batch, then one of each form.

A part is recorded with its batch and needed until the evaluation has succeeded; a job that goes on finds it there.
"""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.resources import PictureForm
from store.errors import Refused
from store.models import Evaluation, PictureFile
from store.queue import jobs
from store.queue.jobs import Claim
from store.storage import StoredFile

FORMS: tuple[PictureForm, ...] = ("npz", "png")
# A statement takes some 32,000 values, or 65,000.
_AT_ONCE = 1_000


def part(stage: str, batch: int) -> str:
    """What the file of a batch's pictures is called."""
    return f"part {batch} of {stage}"


def record(session: Session, held: Claim, name: str, stored: StoredFile) -> None:
    """Record a file that is there already.

    Raises:
        LeaseLost: the evaluation is no longer this attempt's.
    """
    jobs.hold(session, held)
    _add(session, held.id, {name: stored})


def parts(session: Session, identifier: str) -> dict[str, StoredFile]:
    """The files of an evaluation's batches, by their names."""
    return {row.name: _stored(row) for row in _files(session, [identifier]) if row.name not in FORMS}


def publish(session: Session, identifier: str, whole: dict[PictureForm, StoredFile]) -> None:
    """Have an evaluation that has succeeded show its pictures as a whole; the parts' rows go, and nothing else does."""
    if session.scalar(select(Evaluation.status).where(Evaluation.id == identifier)) != "succeeded":
        return
    forget(session, [identifier])
    _add(session, identifier, whole)


def forget(session: Session, identifiers: Collection[str]) -> set[str]:
    """Delete the rows of these evaluations' files; returns the evaluations that had any."""
    found = set(session.scalars(select(PictureFile.evaluation_id).where(PictureFile.evaluation_id.in_(identifiers))))
    session.execute(delete(PictureFile).where(PictureFile.evaluation_id.in_(found)))
    return found


def forget_parts_of_ended(session: Session) -> None:
    """Delete the rows of parts that no attempt will put together; a retry is an evaluation of its own."""
    ended = select(Evaluation.id).where(Evaluation.status.not_in(jobs.ACTIVE))
    session.execute(delete(PictureFile).where(PictureFile.name.not_in(FORMS), PictureFile.evaluation_id.in_(ended)))


def paths(session: Session) -> set[str]:
    """Where all of them lie, below the storage's root."""
    return set(session.scalars(select(PictureFile.path)))


def paths_of(session: Session, identifier: str) -> set[str]:
    """Where those of one evaluation lie."""
    return set(session.scalars(select(PictureFile.path).where(PictureFile.evaluation_id == identifier)))


def ended(session: Session, identifiers: Iterable[str]) -> set[str]:
    """Those of the evaluations that have ended."""
    wanted, found = list(identifiers), set[str]()
    for first in range(0, len(wanted), _AT_ONCE):
        some = Evaluation.id.in_(wanted[first : first + _AT_ONCE])
        found.update(session.scalars(select(Evaluation.id).where(some, Evaluation.status.not_in(jobs.ACTIVE))))
    return found


def show(session: Session, identifier: str) -> tuple[resources.PictureFile, ...]:
    """The files that can be had of an evaluation."""
    found = {row.name: row for row in _files(session, [identifier])}
    return tuple(
        resources.PictureFile(format=form, bytes=found[form].bytes, sha256=found[form].sha256)
        for form in FORMS
        if form in found
    )


def whole(session: Session, evaluation: Evaluation, form: PictureForm) -> StoredFile:
    """The file of that form.

    Raises:
        Refused: the evaluation keeps no pictures, has not succeeded, or its pictures were deleted.
    """
    row = session.get(PictureFile, (evaluation.id, form))
    if row is not None:
        return _stored(row)
    if not evaluation.spec.get("keep_images"):
        raise Refused(f"The evaluation {evaluation.id} keeps no pictures; one with `keep_images` does.")
    if evaluation.status == "succeeded":
        raise Refused(f"The pictures of the evaluation {evaluation.id} were deleted; its numbers are still there.")
    raise Refused(
        f"The evaluation {evaluation.id} is {evaluation.status}; its pictures are there once it has succeeded."
    )


def _add(session: Session, identifier: str, files: dict[PictureForm, StoredFile] | dict[str, StoredFile]) -> None:
    owner = session.scalar(select(Evaluation.owner).where(Evaluation.id == identifier))
    session.add_all(
        PictureFile(
            evaluation_id=identifier,
            name=name,
            owner=owner,
            path=stored.path,
            sha256=stored.sha256,
            bytes=stored.bytes,
        )
        for name, stored in files.items()
    )
    session.flush()


def _files(session: Session, identifiers: Collection[str]) -> Sequence[PictureFile]:
    return session.scalars(select(PictureFile).where(PictureFile.evaluation_id.in_(identifiers))).all()


def _stored(row: PictureFile) -> StoredFile:
    return StoredFile(row.path, row.sha256, row.bytes)
