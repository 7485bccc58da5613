"""What a request can end in.

GauntletClientError      also: it could not be sent as it was asked for
├── Unreachable          no answer
├── Unintelligible       an answer that no Gauntlet gives
└── Refused              an answer with a problem in it
"""

from http import HTTPStatus

from gauntlet.resources import Problem


class GauntletClientError(Exception):
    """Root of the client's errors."""

    @property
    def may_pass(self) -> bool:
        """Whether the same request may succeed a little later, as when the service is started again."""
        return False


class Unreachable(GauntletClientError):
    """The service did not answer."""

    @property
    def may_pass(self) -> bool:
        return True


class Unintelligible(GauntletClientError):
    """Something answered, with `status`, but not as a Gauntlet of this version does."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

    @property
    def may_pass(self) -> bool:
        # Such as a gateway's answer in place of the service that is being started behind it.
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class Refused(GauntletClientError):
    """The service answered with a problem; `problem` has all of it."""

    def __init__(self, problem: Problem) -> None:
        faults = "".join(
            f"\n  {error.pointer or 'request'}: {error.message}"
            for error in problem.errors
            if error.message != problem.detail
        )
        # Its own fault, which only its log explains.
        named = f" (request {problem.request_id})" if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR else ""
        super().__init__(f"{problem.detail}{named}{faults}")
        self.problem = problem

    @property
    def may_pass(self) -> bool:
        status = self.problem.status
        return status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR
