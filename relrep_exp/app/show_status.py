"""What a plan has done, has to do and lacks, as it is printed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from relrep_exp.app.status import EMBEDDINGS, PARAM, Expected, Outlook
from relrep_exp.config.overrides import command
from relrep_exp.data.hub.prefetch import merged
from relrep_exp.tasks.identity import STATISTICS, method_name

if TYPE_CHECKING:
    from rich.table import Table

    from relrep_exp.app.plan import Part

SHOWN_COMMANDS = 6
_SHARED = {  # folder of the outputs -> what is kept in it: one, and several
    EMBEDDINGS: ("encoder's embeddings", "encoders' embeddings"),
    PARAM: ("PARAM fit", "PARAM fits"),
    STATISTICS: ("encoder's statistics, if large,", "encoders' statistics, if large,"),
}
_MINUTE, _HOUR = 60.0, 3600.0


def show(outlook: Outlook, words: Sequence[str], sweep: bool) -> None:
    """Print a table of each part, what there is to do of all, what is missing, and the first commands.

    Args:
        outlook: the plan as it stands.
        words: the command line, without what only says how.
        sweep: whether values in it are swept over, -m.
    """
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for part, expected in outlook.parts:
        console.print(_table(part, expected), "")
    for line in [*_to_do(outlook), *_missing(outlook, words)]:
        print(line)
    if left := outlook.left:
        print("\nleft:", *(one.run.command for one in left[:SHOWN_COMMANDS]), sep="\n  ")
    if len(left) > SHOWN_COMMANDS:
        print(
            f"  ... and {len(left) - SHOWN_COMMANDS} more: {command([*words, 'plan=commands'], sweep=sweep)}"
        )


def _table(part: Part, expected: Sequence[Expected]) -> Table:
    """Make a line for each method, and one for all of them; each counts a run once."""
    from rich.table import Table

    title, name = part.command, part.experiment
    if name is not None:
        title = f"{name.name}, profile={part.runs[0].config.profile}: {name.title}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("method")
    for heading in ("runs", "done", "to do", "missing something", "time left"):
        table.add_column(heading, justify="right")
    by_method: dict[str, dict[str, Expected]] = {}
    for one in expected:
        method = one.run.arm.method or method_name(one.run.config)
        by_method.setdefault(method, {})[one.run.place] = one
    for method, members in by_method.items():
        table.add_row(method, *_counts(members.values()))
    if len(by_method) > 1:
        table.add_section()
        table.add_row("all", *_counts({one.run.place: one for one in expected}.values()))
    return table


def _counts(expected: Iterable[Expected]) -> list[str]:
    runs = list(expected)
    done, lacks = sum(one.done for one in runs), sum(one.lacks for one in runs)
    left = [one for one in runs if not one.done]
    known = [one.estimate.seconds for one in left if one.estimate is not None]
    time = "unknown" if left else "-"
    if known:
        time = _time(sum(known)) + (" + ?" if len(known) < len(left) else "")
    return [*map(str, (len(runs), done, len(left) - lacks, lacks)), time]


def _to_do(outlook: Outlook) -> Iterator[str]:
    """Tell what there is to do, how long it will take, and what runs that are left share or find there."""
    places, left = sum(len(expected) for _, expected in outlook.parts), outlook.left
    runs, lacks = len(outlook.runs), sum(one.lacks for one in left)
    again = f" (asked for {places} times)" if places > runs else ""
    counts = f"{runs - len(left)} done, {len(left) - lacks} to do, {lacks} missing something"
    yield f"{_number(runs, 'run')}{again}: {counts}"
    known = [one.estimate for one in left if one.estimate is not None]
    if known:
        rests = len(frozenset().union(*(estimate.keys for estimate in known)))
        unknown = len(left) - len(known)
        time, of = _time(sum(estimate.seconds for estimate in known)), _number(len(known), "run")
        rest = f", and {unknown} of which nothing is known" if unknown else ""
        yield f"time left on one worker: {time} for {of}, by {_number(rests, 'earlier record')}{rest}"
    elif left:
        yield "time left: unknown, as no earlier record has these tasks and methods"
    shared = []
    for one in outlook.reuse:
        count, there = len(one.places), f" ({one.there} there already)" if one.there else ""
        if there or one.runs > count or one.kind == PARAM:
            shared.append(f"{count} {_SHARED[one.kind][count > 1]} by {_number(one.runs, 'run')}{there}")
    if shared:
        yield f"shared: {'; '.join(shared)}"


def _missing(outlook: Outlook, words: Sequence[str]) -> Iterator[str]:
    """Tell what is not here, each once, and what mends it."""
    if repos := merged(repo for one in outlook.runs for repo in one.repos):
        from relrep_exp.data.hub.repo import cache_folder

        yield f"\nnot in the hub's cache, {cache_folder()} (the network was not asked):"
        yield from (f"  {repo}" for repo in repos)
        yield f"    -> {command(words).replace('run.py', 'scripts/prefetch.py', 1)}"
    for problem in dict.fromkeys(problem for one in outlook.runs for problem in one.problems):
        yield f"\nmissing: {problem}"


def _time(seconds: float) -> str:
    """Round as an estimate deserves it: 45 s, 12 min, 3.4 h."""
    if seconds < 1.5 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"


def _number(count: int, name: str) -> str:
    return f"{count} {name}{'' if count == 1 else 's'}"
