"""Tiny checkpoints of the vision zoo's families, written with timm's own classes; random weights."""

import numpy as np
import timm
import torch
from making import sources
from timm.models import save_for_hf

from relrep_exp.config.schema import TimmEncoderConfig, TimmZoo

SIZE = 32
# The families of the paper's Table 1, as small as they get; the ResNet in the last one has its full width.
SMALL = {
    "vit_small_patch16_224.augreg_in21k_ft_in1k": {
        "img_size": SIZE,
        "patch_size": 8,
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
    },
    "rexnet_100.nav_in1k": {"width_mult": 0.1, "initial_chs": 4, "final_chs": 20},
    "vit_base_r50_s16_384.orig_in21k_ft_in1k": {
        "img_size": SIZE,
        "embed_dim": 32,
        "depth": 1,
        "num_heads": 2,
    },
}
VIT, REXNET, HYBRID = SMALL
DIMS = {VIT: 32, REXNET: 128, HYBRID: 32}
rng = np.random.default_rng(0)
COLOUR = list(rng.integers(0, 256, (7, 24, 40, 3), dtype=np.uint8))
DIGITS = list(rng.integers(0, 256, (7, 28, 28), dtype=np.uint8))


def save(root, models=(VIT, REXNET)):
    """Write a folder for each family, laid out as timm's repositories: random weights, seven classes."""
    torch.manual_seed(0)
    for name in models:
        model = timm.create_model(name, num_classes=7, **SMALL[name])
        for module in model.modules():  # new statistics would be all alike
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        save_for_hf(model, root / name, safe_serialization=True, data_config={"input_size": (3, SIZE, SIZE)})
    return {name: root / name for name in models}


def source(folder, model=VIT, dtype="float32", **runtime):
    path = None if folder is None else str(folder)
    zoo = TimmZoo("timm", "tiny", {"one": TimmEncoderConfig(model, path=path)}, dtype=dtype)
    return sources(zoo, **runtime)["one"]
