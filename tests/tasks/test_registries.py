"""Tasks, aligners and decoders by name; kinds of one's own are tested in tests/app/test_own_kinds.py."""

import pytest

from relrep_exp.config.schema import TaskConfig
from relrep_exp.tasks.measure import ALIGNERS, DECODERS, TASKS


def test_a_kind_that_exists_keeps_its_function():
    with pytest.raises(ValueError, match="kind=stitching exists already"):
        TASKS.register("stitching", type("Other", (TaskConfig,), {}))(lambda work, aligners: None)
    assert TASKS.functions["stitching"] == "relrep_exp.tasks.stitching:stitching"


@pytest.mark.parametrize("registry", [TASKS, ALIGNERS, DECODERS])
def test_every_kind_of_the_configuration_has_a_function(registry):
    assert registry.functions.keys() == registry.kinds.keys()
    assert all(callable(registry[kind]) for kind in registry.kinds)
