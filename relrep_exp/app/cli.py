"""The command line: checked before anything starts, exit codes that mean something, no traceback for a user.

0 done; 2 the request is wrong or something is missing; 130 interrupted; 1 a defect of ours.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from relrep_exp.app import checks, run
from relrep_exp.app.plan import Part, check_names, make_parts, spelled_out
from relrep_exp.app.run import Outcome
from relrep_exp.config.load import conf_dir, load
from relrep_exp.config.overrides import alone, command, launcher_of, of_hydra, of_run, parse
from relrep_exp.errors import UserError, every, tell, user_error

SWEEP_FLAGS = ("-m", "--multirun")
SHORT_FLAGS = {"-h", "-c", "-p", "-i", "-sc"}
LONG_FLAGS = {"--help", "--hydra-help", "--version", "--cfg", "--resolve", "--package", "--info"}
INFORMATION_FLAGS = SHORT_FLAGS | LONG_FLAGS | {"--shell-completion"}
# Runs that only read need no folder of their own, and work where nothing can be written.
NO_FOLDERS = ("hydra.run.dir=.", "hydra.sweep.dir=.", "hydra.sweep.subdir=.")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["plan"]:
        arguments = [*arguments[1:], *([] if _says(arguments, "plan") else ["plan=true"])]
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        return _serve(arguments)
    except UserError as error:
        return tell(error)
    except KeyboardInterrupt:
        print("interrupted: finished work is kept; the same command goes on from there", file=sys.stderr)
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)


def entry() -> None:
    """The `relrep` command."""
    sys.exit(main())


def job(composed: DictConfig) -> Outcome:
    """One run, in this process or in a launcher's worker; that of a sweep is told by the sweep.

    Raises:
        UserError: the run of a sweep cannot be served.
        SystemExit: a single run cannot; told already.
    """
    settings = HydraConfig.get()
    own = list(settings.overrides.task)
    sweep = settings.mode == RunMode.MULTIRUN
    try:
        config = load(composed)
        own = alone(own, config.task.name)
        outcome = run.run(config, Path(settings.runtime.output_dir), command(own))
    except UserError as error:
        if sweep:
            raise
        raise SystemExit(tell(error)) from None
    if not sweep:
        _show(outcome)
    return outcome


def _serve(arguments: list[str]) -> int:
    """Plan what is asked for, check it, and run it or tell of it.

    Flags that only ask Hydra for information go through unchecked, but for names in --cfg.
    """
    asked = [a for a in arguments if a.startswith("-") and a not in SWEEP_FLAGS]
    unknown = [flag for flag in asked if flag.split("=")[0] not in INFORMATION_FLAGS]
    if unknown:
        raise user_error(f"{' '.join(unknown)}: not a flag here", "see python run.py --help; -m sweeps")
    if asked:
        return _hydra(_information(arguments))
    overrides = [a for a in arguments if not a.startswith("-")]
    sweep = len(overrides) < len(arguments)
    parts = make_parts(overrides, sweep)
    if how := parts[0].runs[0].config.plan:
        return _plan(parts, overrides, sweep, how == "commands")
    hydras = [str(override.input_line) for override in parse(overrides) if of_hydra(override)]
    if sweep or parts[0].experiment is not None:
        return _sweep(parts, hydras)
    [run] = parts[0].runs
    checks.require(run.config)
    return _hydra([*run.overrides, *hydras, *(NO_FOLDERS if checks.settled(run.config) else ())])


def _says(arguments: Sequence[str], key: str) -> bool:
    return any(argument.startswith(f"{key}=") for argument in arguments)


def _plan(parts: Sequence[Part], overrides: Sequence[str], sweep: bool, commands: bool) -> int:
    """Tell what there is to do, and start nothing."""
    from relrep_exp.app.show_status import show_commands, show_outlook
    from relrep_exp.app.status import look_ahead

    words = [str(override.input_line) for override in parse(overrides) if of_run(override)]
    outlook = look_ahead(parts, words, sweep)
    (show_commands if commands else show_outlook)(outlook)
    return 0


def _sweep(parts: Sequence[Part], hydras: Sequence[str]) -> int:
    """Run all parts through Hydra's launcher; without it where every record is there."""
    from relrep_exp.app.sweep import Sweep, handing, run_all

    sweep = Sweep.of(parts)
    if sweep.reads:
        return run_all(sweep, None)
    left = {run.place for run in sweep.left}
    first = [next((run for run in part.runs if run.place in left), None) for part in parts]
    check = partial(checks.require, launcher=launcher_of(hydras))
    every({n: partial(check, run.config) for n, run in enumerate(first) if run is not None})
    with handing(sweep):
        # Hydra itself composes the first run, of which it reads its own settings and the folder of results.
        return _hydra(["--multirun", *sweep.left[0].overrides, *hydras])


def _information(arguments: list[str]) -> list[str]:
    """The arguments in an order that Hydra can read; --cfg job shows what a run would use."""
    overrides = [a for a in arguments if "=" in a and not a.startswith("-")]
    flags = [part for a in arguments if a not in overrides for part in a.split("=", 1)]
    if flags in (["--cfg", "job"], ["-c", "job"]):
        check_names(overrides)
        overrides = spelled_out(overrides)
        flags.append("--resolve")
    return [*overrides, *flags]


def _hydra(arguments: Sequence[str]) -> int:
    """Hydra's own main, which reads sys.argv."""
    before = sys.argv
    sys.argv = [before[0], *arguments]
    try:
        hydra.main(version_base="1.3", config_path=str(conf_dir()), config_name="config")(job)()
        return 0
    finally:
        sys.argv = before


def _show(outcome: Outcome) -> None:
    """The table of a single run."""
    from relrep_exp.report.render.terminal import run_report

    run_report(outcome.record, outcome.path, outcome.seconds, outcome.fresh)
