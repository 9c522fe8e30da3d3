"""What a user is told when a request is wrong or something that it needs is missing."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, and what mends it.

    Attributes:
        what: the fault, in the user's terms.
        remedy: what to do; a command or a key where there is one.
    """

    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.what}\n    -> {self.remedy}"


class UserError(Exception):
    """The request cannot be served; exit code 2, one message with every problem, no traceback."""

    def __init__(self, problems: Iterable[Problem] | Problem):
        self.problems = [problems] if isinstance(problems, Problem) else list(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[UserError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


def user_error(what: str, remedy: str) -> UserError:
    """A `UserError` with a single problem."""
    return UserError(Problem(what, remedy))


def tell(error: UserError, prefix: str = "") -> int:
    """Print every problem with its remedy on stderr; the exit code of a user's error, 2."""
    for problem in error.problems:
        print(f"error: {prefix}{problem}", file=sys.stderr)
    return 2
