"""What a plan has done, has to do and lacks, as it is printed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from relrep_exp.app.shared_work import EMBEDDINGS, PARAM, Reuse
from relrep_exp.config.overrides import command
from relrep_exp.tasks.identity import STATISTICS

if TYPE_CHECKING:
    from rich.table import Table

    from relrep_exp.app.plan import Part
    from relrep_exp.app.status import Expected, Outlook

SHOWN_COMMANDS = 6
_SHARED = {  # folder of the outputs -> what is kept in it: one, and several
    EMBEDDINGS: ("encoder's embeddings", "encoders' embeddings"),
    PARAM: ("PARAM fit", "PARAM fits"),
    STATISTICS: ("encoder's statistics, if large,", "encoders' statistics, if large,"),
}
_MINUTE, _HOUR = 60.0, 3600.0


def show_outlook(outlook: Outlook) -> None:
    """Print a table of each part, what there is to do of all, what is missing, and the first commands."""
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    for part, expected in outlook.parts:
        console.print(_table(part, expected), "")
    for line in [*_summary(outlook), *_shared(outlook), *_missing(outlook), *_first_commands(outlook)]:
        print(line)


def show_commands(outlook: Outlook) -> None:
    """Print what makes each run that has no record, a line each and nothing else."""
    for one in outlook.left:
        print(one.run.command)


def _table(part: Part, expected: Sequence[Expected]) -> Table:
    """A line for each method, and one for all of them; each counts a run once."""
    from rich.table import Table

    table = Table(title=_title(part), title_justify="left", box=None, pad_edge=False)
    table.add_column("method")
    for heading in ("runs", "done", "to do", "missing something", "time left"):
        table.add_column(heading, justify="right")
    by_method: dict[str, list[Expected]] = {}
    for one in expected:
        by_method.setdefault(one.run.arm.method or one.run.label.split()[0], []).append(one)
    for method, members in by_method.items():
        table.add_row(method, *_counts(_each_once(members)))
    if len(by_method) > 1:
        table.add_section()
        table.add_row("all", *_counts(_each_once(expected)))
    return table


def _title(part: Part) -> str:
    if part.experiment is None:
        return part.command
    return f"{part.experiment.name}, profile={part.runs[0].config.profile}: {part.experiment.title}"


def _counts(expected: Sequence[Expected]) -> list[str]:
    done, lacks = sum(one.done for one in expected), sum(one.lacks for one in expected)
    counts = (len(expected), done, len(expected) - done - lacks, lacks)
    return [*map(str, counts), _time_left(expected)]


def _each_once(expected: Iterable[Expected]) -> list[Expected]:
    return list({one.run.place: one for one in expected}.values())


def _summary(outlook: Outlook) -> list[str]:
    places, left = sum(len(expected) for _, expected in outlook.parts), outlook.left
    lacks = sum(one.lacks for one in left)
    shared = f" (asked for {places} times)" if places > len(outlook.runs) else ""
    lines = [
        f"{_number(outlook.runs, 'run')}{shared}: {len(outlook.runs) - len(left)} done, "
        f"{len(left) - lacks} to do, {lacks} missing something"
    ]
    known = [one.estimate for one in left if one.estimate is not None]
    if known:
        rests = frozenset().union(*(estimate.keys for estimate in known))
        unknown = (
            f", and {len(left) - len(known)} of which nothing is known" if len(known) < len(left) else ""
        )
        lines.append(
            f"time left on one worker: {_time(sum(e.seconds for e in known))} for {_number(known, 'run')}, "
            f"by {_number(rests, 'earlier record')}{unknown}"
        )
    elif left:
        lines.append("time left: unknown, as no earlier record has these tasks and methods")
    return lines


def _shared(outlook: Outlook) -> list[str]:
    """What the runs that are left need and share, or find already there."""
    told = [one for one in outlook.reuse if one.there or one.runs > len(one.places) or one.kind == PARAM]
    return [f"shared: {'; '.join(map(_needed, told))}"] if told else []


def _needed(one: Reuse) -> str:
    single, several = _SHARED[one.kind]
    count, there = len(one.places), f" ({one.there} there already)" if one.there else ""
    return f"{count} {single if count == 1 else several} by {one.runs} run{'s' * (one.runs > 1)}{there}"


def _missing(outlook: Outlook) -> list[str]:
    """What is not here, and what mends it."""
    lines = []
    if outlook.repos:
        from relrep_exp.data.hub.repo import cache_folder

        prefetch = command(outlook.words).replace("run.py", "scripts/prefetch.py", 1)
        lines += ["", f"not in the hub's cache, {cache_folder()} (the network was not asked):"]
        lines += [f"  {repo}" for repo in outlook.repos]
        lines.append(f"    -> {prefetch}")
    for problem in outlook.problems:
        lines += ["", f"missing: {problem}"]
    return lines


def _first_commands(outlook: Outlook) -> list[str]:
    left = outlook.left
    lines = ["", "left:"] if left else []
    lines += [f"  {one.run.command}" for one in left[:SHOWN_COMMANDS]]
    if len(left) > SHOWN_COMMANDS:
        every = command([*outlook.words, "plan=commands"], sweep=outlook.sweep)
        lines.append(f"  ... and {len(left) - SHOWN_COMMANDS} more: {every}")
    return lines


def _time_left(expected: Sequence[Expected]) -> str:
    left = [one for one in expected if not one.done]
    known = [one.estimate.seconds for one in left if one.estimate is not None]
    if not left:
        return "-"
    if not known:
        return "unknown"
    return _time(sum(known)) + (" + ?" if len(known) < len(left) else "")


def _time(seconds: float) -> str:
    """Rounded as an estimate deserves it: 45 s, 12 min, 3.4 h."""
    if seconds < 1.5 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 1.5 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"


def _number(things: Iterable[object], name: str) -> str:
    count = len(list(things))
    return f"{count} {name}{'' if count == 1 else 's'}"
