"""What a plugin is made of: its file, and the modules of the user's own that it imports by any way."""

from __future__ import annotations

import ast
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Collection, Iterator
from pathlib import Path

from relrep_exp.store.inputs import input_digest
from relrep_exp.store.keys import canonical_json, text_digest

_INSTALLED = ("site-packages", "dist-packages")
_PACKAGE = Path(__file__).resolve().parents[1]


def plugin_digest(path: Path, imported: Collection[str] = ()) -> str:
    """Hash a plugin's file, with the modules that it imports and that no package manager has installed.

    Files that it opens are not seen, nor modules whose names it works out as it runs.

    Args:
        path: the file.
        imported: modules that were first imported while it was.
    """
    own = input_digest(path)
    modules = _local_modules(path, imported)
    if not modules:
        return own
    digests = {name: input_digest(file) for name, file in modules.items()}
    return text_digest(canonical_json({"file": own, "imports": digests}))


def _local_modules(path: Path, imported: Collection[str]) -> dict[str, Path]:
    """Map the names of local modules to their files, sorted."""
    found: dict[str, Path] = {}
    todo = [(path, "")]
    names = set(imported)
    while todo or names:
        if todo:
            names |= set(_imports(*todo.pop()))
        for name in names:
            file = _file_of(name)
            if name in found or file is None or file == path or not _is_local(file):
                continue
            found[name] = file
            todo.append((file, name if file.stem == "__init__" else name.rpartition(".")[0]))
        names = set()
    return dict(sorted(found.items()))


def _imports(path: Path, package: str) -> Iterator[str]:
    """Name what a file imports, anywhere in it; of `from a import b` both a and a.b."""
    if path.suffix != ".py":
        return
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):  # of a module that is never imported
        return
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: max(0, len(package.split(".")) - node.level + 1)]
                base = ".".join(filter(None, [*above, base]))
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)] if base else []
        for name in names:
            parts = name.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))


def _file_of(name: str) -> Path | None:
    """The file of a module, imported or not; None where it has none, or does not exist."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None)
    if module is None and name.rpartition(".")[0] in ("", *sys.modules):
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):  # no package, after all
            spec = None
        origin = spec.origin if spec is not None and spec.has_location else None
    return Path(origin).resolve() if origin else None


def _is_local(file: Path) -> bool:
    """Whether a file is neither Python's, nor installed, nor of this package."""
    paths = sysconfig.get_paths()
    homes = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    homes |= {*site.getsitepackages(), site.getusersitepackages(), str(_PACKAGE)}
    installed = any(part in _INSTALLED for part in file.parts)
    return file.is_file() and not installed and not any(file.is_relative_to(Path(h).resolve()) for h in homes)
