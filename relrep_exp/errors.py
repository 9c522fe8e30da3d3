"""What a user is told when a request is wrong or something that it needs is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")


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
    """Make a `UserError` of a single problem."""
    return UserError(Problem(what, remedy))


def tell(error: UserError, prefix: str = "") -> int:
    """Print every problem with its remedy on stderr, and return the exit code of a user's error, 2."""
    for problem in error.problems:
        print(f"error: {prefix}{problem}", file=sys.stderr)
    return 2


def every(jobs: Mapping[Any, Callable[[], T]]) -> dict[Any, T]:
    """Do every job, and return their results.

    Raises:
        UserError: some fail; the problems of all of them.
    """
    done, problems = {}, []
    for name, job in jobs.items():
        try:
            done[name] = job()
        except UserError as error:
            problems += error.problems
    if problems:
        raise UserError(dict.fromkeys(problems))
    return done


def nearest(name: str, choices: Iterable[str]) -> str:
    """Tell what an unknown name could be: the nearest choices first, or all of them."""
    choices = sorted(set(choices))
    close = get_close_matches(name, choices, n=3, cutoff=0.5)
    if close:
        return f"did you mean {' or '.join(close)}? There are: {', '.join(choices)}"
    return f"choose one of: {', '.join(choices)}"
