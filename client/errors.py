"""What a request can end in.

GauntletClientError
├── Unreachable   no answer
└── Refused       an answer with a problem in it
"""

from gauntlet.resources import Problem


class GauntletClientError(Exception):
    """Root of the client's errors."""


class Unreachable(GauntletClientError):
    """The service did not answer."""


class Refused(GauntletClientError):
    """The service answered with a problem; `problem` has all of it."""

    def __init__(self, problem: Problem) -> None:
        faults = "".join(
            f"\n  {error.pointer or 'request'}: {error.message}"
            for error in problem.errors
            if error.message != problem.detail
        )
        super().__init__(f"{problem.detail}{faults}")
        self.problem = problem
