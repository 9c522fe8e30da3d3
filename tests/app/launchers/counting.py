"""A plugin of a user, which also notes what its process stores: entries are renamed into place."""

import os
import sys
from pathlib import Path

import torch

from relrep_exp import similarity


def _note(event, arguments):
    if event == "os.rename" and (log := os.environ.get("COUNTED")):
        place = Path(os.fsdecode(arguments[1]))
        if place.parent.name in ("checkpoints", "embeddings", "records"):
            with Path(log).open("a") as file:
                file.write(f"{place.parent.name} {place.name} {os.getpid()}\n")


sys.addaudithook(_note)


@similarity("tanh_wip", prepare="whitened")
def tanh_wip(x, anchors):
    return torch.tanh(x @ anchors.T / x.shape[1] ** 0.5)
