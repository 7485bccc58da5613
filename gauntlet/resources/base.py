"""What all answers share."""

from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

Status = Literal["queued", "running", "paused", "succeeded", "failed", "cancelled"]

TERMINAL: frozenset[str] = frozenset({"succeeded", "failed", "cancelled"})


class Resource(BaseModel):
    """Base of all answers; a client tolerates fields it does not know, so that a server may gain some."""

    model_config = ConfigDict(frozen=True, extra="ignore")


T = TypeVar("T", bound=Resource)


class Progress(Resource):
    """How far a job is: `completed` of `total` units of the phase it is in. `eta_s` is None while it is unknown."""

    phase: str
    completed: int
    total: int
    unit: str
    eta_s: float | None


class Page(Resource, Generic[T]):
    """One page of a list; `next` is the cursor to pass as `after` for the following one."""

    object: Literal["list"] = "list"
    data: tuple[T, ...]
    has_more: bool
    next: str | None


class ProblemError(Resource):
    """One invalid field: a JSON pointer into the request, and what is wrong there."""

    pointer: str
    message: str


class Problem(Resource):
    """An error as RFC 9457 has it, with the request's id."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[ProblemError, ...] = ()
    request_id: str
