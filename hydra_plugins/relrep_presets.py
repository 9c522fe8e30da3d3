"""Lets the launchers of conf/hydra/launcher/ stand for themselves.

Hydra takes a stored configuration of the same name, which each launcher's package has, for the schema of a
file, and refuses keys that it does not have.
"""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin


class PresetsPlugin(SearchPathPlugin):
    """Called whenever Hydra is about to compose a configuration, by whichever application."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Let our files stand where they are searched; other applications keep what is stored."""
        from relrep_exp.store.files import CONF

        if any(str(source.path).endswith(str(CONF)) for source in search_path.get_path()):
            forget_stored()


def forget_stored() -> None:
    """Forget the stored configurations that our files replace."""
    from relrep_exp.store.files import CONF

    stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
    for file in (CONF / "hydra" / "launcher").glob("*.yaml"):
        stored.pop(file.name, None)


def keep_apart(loader: Any) -> None:
    """Give Hydra's loader a store of its own, as workers get both and find all plugins, which store, anew."""
    for source in loader.repository.sources:
        if hasattr(source, "store"):
            source.store = copy(source.store)
            source.store.repo = deepcopy(source.store.repo)
