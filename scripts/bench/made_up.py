"""What benchmarks measure with: random encoders, samples for them, embeddings of the paper's shape."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relrep_exp.encoders.embeddings import Corpus, Embeddings
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.store.keys import content_key

WORDS = 2000
# The paper's encoders and sizes
DIMS = {"vit_s": 384, "rexnet": 1280, "vit_b": 768, "vit_r50": 768}
CLASSES, LATENT, TRAIN, TEST, SUPPORT, ANCHORS = 20, 64, 50_000, 10_000, 5_000, 300
CENTRES, NOISE = 0.45, 0.5  # deviation of class centres and of an encoder's own noise; within a class it is 1


class SmallBert(Encoder):
    """A BERT with random weights; the embedding is its first state."""

    dim = 256

    def __init__(self) -> None:
        super().__init__()
        from transformers import BertConfig, BertModel

        config = BertConfig(
            vocab_size=WORDS + 4,
            hidden_size=self.dim,
            num_hidden_layers=4,
            num_attention_heads=4,
            intermediate_size=4 * self.dim,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = BertModel(config, add_pooling_layer=False).eval()
        self.tokenizer = word_tokenizer()

    def prepare(self, samples: Sequence[str]) -> dict[str, Tensor]:
        """input_ids and attention_mask, [B, longest]."""
        return dict(self.tokenizer(list(samples), padding=True, return_tensors="pt"))

    def sizes(self, samples: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [len(ids) for ids in self.tokenizer(list(samples))["input_ids"]]

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """[B, 256]."""
        states: Tensor = self.model(**inputs).last_hidden_state
        return states[:, 0]


def word_tokenizer() -> Any:
    """One token a word."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{n}" for n in range(WORDS))]
    tokenizer = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_input_names=["input_ids", "attention_mask"],
    )


def mixed_texts(n: int) -> list[str]:
    """Texts of 5 to 400 tokens, log-normal with a median of 40."""
    rng = np.random.default_rng(0)
    lengths = np.clip(np.exp(rng.normal(np.log(40), 0.9, n)), 5, 400).astype(int) - 2
    return [" ".join(f"w{word}" for word in rng.integers(0, WORDS, length)) for length in lengths]


class SmallConvNet(Encoder):
    """A ResNet-18 with random weights that decodes and resizes its images."""

    dim = 512

    def __init__(self) -> None:
        super().__init__()
        import timm

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = timm.create_model("resnet18", pretrained=False, num_classes=0).eval()

    def prepare(self, samples: Sequence[bytes]) -> Tensor:
        """[B, 3, 224, 224]."""
        from PIL import Image

        images = [Image.open(io.BytesIO(data)).convert("RGB").resize((224, 224)) for data in samples]
        return torch.from_numpy(np.stack([np.asarray(x) for x in images])).permute(0, 3, 1, 2) / 255

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, 512]."""
        x: Tensor = self.model(inputs)
        return x


def jpegs(n: int) -> list[bytes]:
    """Photographs' size, 500 x 375; 32 different ones."""
    from PIL import Image

    rng, made = np.random.default_rng(0), []
    for _ in range(min(n, 32)):
        stream = io.BytesIO()
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        coarse.resize((500, 375)).save(stream, "JPEG")
        made.append(stream.getvalue())
    return [made[row % len(made)] for row in range(n)]


class Cheap(Encoder):
    """Repeats a number 768 times."""

    dim = 768

    def prepare(self, samples: Sequence[int]) -> Tensor:
        """[B]."""
        return torch.tensor(samples, dtype=torch.float32)

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, 768]."""
        return inputs[:, None] + torch.zeros(self.dim)


class Mlp(Encoder):
    """Two layers."""

    dim = 64

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64))

    def prepare(self, samples: Sequence[Tensor]) -> Tensor:
        """[B, 64]."""
        return torch.stack(list(samples))

    def forward(self, inputs: Tensor) -> Tensor:
        """[B, 64]."""
        x: Tensor = self.layers(inputs)
        return x


def scaled(count: int, fraction: float) -> int:
    """A share of the paper's count; no fewer than there are anchors."""
    return max(ANCHORS, round(count * fraction))


def paper_shaped(fraction: float, seed: int) -> Embeddings:
    """Affine images of one cloud of labelled points in each encoder, with noise before and after the map."""
    g = torch.Generator().manual_seed(seed)
    train, test = scaled(TRAIN, fraction), scaled(TEST, fraction)
    labels = torch.randint(CLASSES, (train + test,), generator=g)
    centres = CENTRES * torch.randn(CLASSES, LATENT, generator=g)
    points = centres[labels] + torch.randn(train + test, LATENT, generator=g)
    is_train = torch.arange(train + test) < train
    corpora = {name: Corpus(_view(points, d, g), is_train, labels) for name, d in DIMS.items()}
    keys = {name: content_key({"made": name, "seed": seed, "fraction": fraction}) for name in DIMS}
    return Embeddings(corpora, corpora, keys)


def _view(points: Tensor, d: int, g: torch.Generator) -> Tensor:
    """x = (z + noise) A + noise + b with singular values of A that fall off, [N, d]."""
    scales = torch.logspace(0, -1, LATENT)
    a = scales[:, None] * torch.randn(LATENT, d, generator=g) / LATENT**0.5
    seen = points + NOISE * torch.randn(points.shape, generator=g)
    return seen @ a + 0.1 * torch.randn(len(points), d, generator=g) + torch.randn(d, generator=g)
