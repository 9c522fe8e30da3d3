"""Lets the launchers of conf/hydra/launcher/ stand for themselves.

Hydra takes a stored configuration of the same name, which each launcher's package has, for the schema of a
file, and refuses keys that it does not have.
"""

from __future__ import annotations

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.plugins.search_path_plugin import SearchPathPlugin


class PresetsPlugin(SearchPathPlugin):
    """Called whenever Hydra is about to compose a configuration, by whichever application."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Forget the stored configurations that our files replace; other applications keep them."""
        from relrep_exp.store.files import CONF

        if not any(str(source.path).endswith(str(CONF)) for source in search_path.get_path()):
            return
        stored = ConfigStore.instance().repo.get("hydra", {}).get("launcher", {})
        for file in (CONF / "hydra" / "launcher").glob("*.yaml"):
            stored.pop(file.name, None)
