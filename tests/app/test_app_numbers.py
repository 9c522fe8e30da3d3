"""What a program has set for all of torch before it starts a run changes none of its numbers."""

from contextlib import ExitStack

import pytest
import torch


@pytest.fixture
def others():
    """Globals of torch that no run should see."""
    back = ExitStack()
    back.callback(torch.set_default_dtype, torch.get_default_dtype())
    back.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())

    def set_all():
        torch.set_default_dtype(torch.float64)
        torch.set_float32_matmul_precision("medium")
        for context in (torch.device("meta"), torch.autocast("cpu"), torch.inference_mode()):
            back.enter_context(context)

    with back:
        yield set_all


def test_a_run_under_other_globals_of_torch_has_the_numbers_of_any_other(run, others):
    words = ("anchors=param", "anchors.epochs=3", "overwrite=always")
    expected = run(*words).record
    others()
    got = run(*words).record
    assert torch.is_inference_mode_enabled() and torch.get_default_dtype() == torch.float64
    assert got.rows == expected.rows and got.curves == expected.curves
