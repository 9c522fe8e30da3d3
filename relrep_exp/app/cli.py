"""The command line: checked before anything starts, exit codes that mean something, no traceback for a user.

0 done; 2 the request is wrong or something is missing; 130 interrupted; 1 a defect of ours.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import hydra

import relrep_exp.config.hydra_setup  # noqa: F401
from relrep_exp.errors import UserError, every, tell, user_error
from relrep_exp.store.files import CONF

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

    from relrep_exp.app.run import Outcome

SWEEP_FLAGS = ("-m", "--multirun")
LOG_FLAGS = {"-v": "debug", "-q": "warning"}
HELP_FLAGS = {"-h", "--help", "--hydra-help", "--version"}
INFORMATION_FLAGS = {*HELP_FLAGS, "-c", "-p", "-i", "-sc"}
INFORMATION_FLAGS |= {"--cfg", "--resolve", "--package", "--info", "--shell-completion"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "plan" in arguments[:2]:
        arguments.remove("plan")
        arguments += [] if any(argument.startswith("plan=") for argument in arguments) else ["plan=true"]
    try:
        return _serve(arguments)
    except UserError as error:
        return tell(error)
    except KeyboardInterrupt:
        print("interrupted: finished work is kept; the same command goes on from there", file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception:  # a defect of ours
        traceback.print_exc()
        return 1


def entry() -> None:
    """Serve as the `relrep` command."""
    sys.exit(main())


def _serve(arguments: list[str]) -> int:
    """Serve a command line: information of Hydra's, a plan, a sweep, or a single run.

    Each imports what it needs: --help does not wait for a schema, nor a record that is read for a plan.
    """
    asked = [a for a in arguments if a.startswith("-") and a not in (*SWEEP_FLAGS, *LOG_FLAGS)]
    if unknown := [flag for flag in asked if flag.split("=")[0] not in INFORMATION_FLAGS]:
        raise user_error(f"{' '.join(unknown)}: not a flag here", "see python run.py --help; -m sweeps")
    if asked:
        return _inform([a for a in arguments if a not in LOG_FLAGS])

    from relrep_exp.app.request import load_plugins
    from relrep_exp.config import overrides as words

    levels = [level for flag, level in LOG_FLAGS.items() if flag in arguments]
    sweep = any(flag in arguments for flag in SWEEP_FLAGS)
    given = words.parse(a for a in arguments if not a.startswith("-"))
    load_plugins(words.plugin_paths(given))
    if sweep or any(o.key_or_group in ("experiment", "plan") or o.is_sweep_override() for o in given):
        return _run_all(given, sweep, levels)
    return _run_one(given, levels)


def _inform(arguments: list[str]) -> int:
    """Let Hydra answer, unchecked but for names in --cfg; --cfg job shows what a run would use."""
    given = [a for a in arguments if "=" in a and not a.startswith("-")]
    flags = [part for a in arguments if a not in given for part in a.split("=", 1)]
    if not HELP_FLAGS.intersection(flags):
        import relrep_exp.config.load  # noqa: F401  # a value of conf/ asks it
    if flags in (["--cfg", "job"], ["-c", "job"]):
        from relrep_exp.app.plan import check_names, spelled_out

        check_names(given)
        given = spelled_out(given)
        flags.append("--resolve")
    return _hydra([*given, *flags])


def _run_one(given: Sequence[Override], levels: Sequence[str]) -> int:
    """Serve a single run: composed, typed and checked once, then computed or read."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from relrep_exp.app.request import Request
    from relrep_exp.app.run import run
    from relrep_exp.config import overrides as words
    from relrep_exp.config.compose import compose_run, run_composed
    from relrep_exp.config.load import load
    from relrep_exp.report.render.terminal import run_report
    from relrep_exp.report.tables.run_table import run_table

    try:
        composed = compose_run(given)
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        from relrep_exp.app.plan import make_parts

        make_parts(given, sweep=False)  # raises all that is wrong, with the nearest names that there are
        reason = " ".join(str(error).split())
        raise user_error(f"configuration: {reason}", "python run.py --help lists the choices") from None
    request = Request(load(composed))
    request.require(words.launcher_of(given))
    command = words.command(str(override.input_line) for override in given if words.of_run(override))
    work = partial(run, request, command, told=next(iter(levels), "info"))
    # A run that only reads needs no folder of its own, and works where nothing can be written.
    outcome = work() if request.settled else run_composed(composed, work)
    run_report(run_table(outcome.record), outcome.record, outcome.path, outcome.seconds, outcome.fresh)
    return 0


def _run_all(given: Sequence[Override], sweep: bool, levels: Sequence[str]) -> int:
    """Serve a plan of many runs: tell of it, or run it through Hydra's launcher.

    Where every record is there, nothing is launched.
    """
    from relrep_exp.app import log
    from relrep_exp.app.plan import make_parts
    from relrep_exp.app.sweep import Sweep, handing, run_all
    from relrep_exp.config import overrides as words

    parts = make_parts(given, sweep)
    if how := parts[0].runs[0].config.plan:
        from relrep_exp.app.show_status import show
        from relrep_exp.app.status import look_ahead

        outlook = look_ahead(parts)
        if how == "commands":  # what makes each run that has no record, and nothing else
            print(*(f"{one.run.command}\n" for one in outlook.left), sep="", end="")
        else:
            show(outlook, [str(o.input_line) for o in given if words.of_run(o)], sweep)
        return 0
    if not levels:  # runs side by side would write over each other: each has a line, and its log in a file
        log.to_terminal("warning")
    asked = Sweep.of(parts)
    if asked.reads:
        return run_all(asked, None)
    left = {one.place for one in asked.left}
    first = [next((one for one in part.runs if one.place in left), None) for part in parts]
    launcher = words.launcher_of(given)
    every({n: partial(one.request.require, launcher) for n, one in enumerate(first) if one is not None})
    hydras = [str(override.input_line) for override in given if words.of_hydra(override)]
    with handing(asked):
        # Hydra itself composes the first run, of which it reads its own settings and the folder of results.
        return _hydra(["--multirun", *asked.left[0].overrides, *hydras])


def job(composed: DictConfig) -> Outcome:
    """Make the record of one run of a sweep, in this process or in a launcher's worker.

    Raises:
        UserError: it cannot be served.
    """
    from hydra.core.hydra_config import HydraConfig

    from relrep_exp.app.request import Request, load_plugins
    from relrep_exp.app.run import run
    from relrep_exp.config import overrides as words
    from relrep_exp.config.load import load

    settings = HydraConfig.get()
    load_plugins([str(path) for path in composed.plugins])
    request = Request(load(composed))
    request.require()
    command = words.command(words.alone(settings.overrides.task, request.config.task.name))
    return run(request, command, Path(settings.runtime.output_dir))


def _hydra(arguments: Sequence[str]) -> int:
    """Call Hydra's own main, which reads sys.argv."""
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
        return 0
    finally:
        sys.argv = before
