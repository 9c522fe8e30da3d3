"""Training of the tiny BERTs: guess masked tokens, and keep the whole text in the embedding."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from relrep_exp.encoders.local.tokenizer import from_json, to_json, train_tokenizer
from relrep_exp.encoders.local.training import TextTraining, bags, rarity
from relrep_exp.encoders.text_model import TextEncoder, Tokens, pooled
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit
from relrep_exp.training.seeding import generator

if TYPE_CHECKING:
    from transformers import BertModel, PreTrainedTokenizerFast

    from relrep_exp.config.schema import LocalBertConfig
    from relrep_exp.encoders.made import LocalBertSource

LOSSES = ("masked", "bag", "classify")
_MASKED = 0.15  # of the tokens, as in BERT


def load(source: LocalBertSource, training: Training) -> TextEncoder:
    """Load the trained encoder of a source, from its checkpoint if there is one."""
    config = source.config

    def train(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
        texts, view = source.training_texts(), source.own()
        labels = None if view.labels is None else view.labels[view.is_train.nonzero()[:, 0]]
        # The tokenizer first, then weights, which torch's generator draws.
        tokenizer = train_tokenizer(texts, config.vocabulary, "wordpiece")
        tokens = Tokens(tokenizer, config.max_length, len(tokenizer), positions=False)
        model, ids = _untrained(config, len(tokenizer)), tokens.batch(texts)["input_ids"]
        curves = train_bert(model, tokenizer, ids, labels, config, training)
        describe = {"encoder": asdict(config), "tokenizer": to_json(tokenizer), "curves": curves}
        return dict(model.state_dict()), describe

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        entry = source.kept(training, train)
        tokenizer = from_json(entry.describe["tokenizer"])
        model = _untrained(config, len(tokenizer))
    model.load_state_dict(entry.tensors)
    return TextEncoder(model, tokenizer, config.pooling, max_length=config.max_length)


def _untrained(config: LocalBertConfig, vocabulary: int) -> BertModel:
    """Make a BERT without dropout; draws its weights from torch's current generator."""
    from transformers import BertConfig, BertModel

    shape = BertConfig(
        vocab_size=vocabulary,
        hidden_size=config.dim,
        num_hidden_layers=config.depth,
        num_attention_heads=config.heads,
        intermediate_size=4 * config.dim,
        max_position_embeddings=config.max_length,
        type_vocab_size=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(shape, add_pooling_layer=False)


class MaskedLanguageTraining(TextTraining):
    """A BERT under three readers of the same, partly masked text.

    One guesses the masked tokens from their own states. The embedding, as it will be pooled, must by itself
    tell which tokens the text has, the masked ones too (rare tokens count more), and its class. Without the
    second an embedding collapses onto classes; encoders that were trained for more keep the rest, too.

    Args:
        model: without pooler, dropout 0, so that nothing draws from a global generator.
        tokenizer: says which tokens are special.
        tokens: training texts, int64 [N, T], padded on the right.
        labels: their classes, [N]; None leaves the third reader out.
        config: weights of the losses, learning rate, pooling.
        training: who is told the losses.
        steps: length of the learning rate's cycle.
    """

    def __init__(
        self,
        model: BertModel,
        tokenizer: PreTrainedTokenizerFast,
        tokens: Tensor,
        labels: Tensor | None,
        config: LocalBertConfig,
        training: Training,
        steps: int,
    ):
        name = f"{config.language} BERT"
        super().__init__(name, LOSSES, config.lr, config.weight_decay, steps, training)
        self.model, self.tokens, self.config = model, tokens, config
        self.labels = torch.zeros(len(tokens), dtype=torch.long) if labels is None else labels
        size = len(tokenizer)
        self.pad, self.mask = _token(tokenizer, "pad"), _token(tokenizer, "mask")
        self.special = torch.tensor(tokenizer.all_special_ids)
        self.rarity = rarity(tokens, size, tokenizer.all_special_ids)
        classes = int(self.labels.max()) + 1
        self.to_token = nn.Sequential(
            nn.Linear(config.dim, config.dim), nn.GELU(), nn.Linear(config.dim, size)
        )
        self.to_bag, self.to_class = nn.Linear(config.dim, size), nn.Linear(config.dim, classes)

    def training_step(self, rows: Tensor, number: int) -> dict[str, Any]:
        """Weigh the three losses on the texts `rows` [1, B]."""
        terms = self.objective(rows[0], generator(self.config.seed, "mask", self.current_epoch, number))
        weights = (self.config.masked, self.config.bag, self.config.classify)
        loss = torch.stack([w * term for w, term in zip(weights, terms, strict=True)]).sum()
        return {"loss": loss, "terms": terms}

    def objective(self, rows: Tensor, g: torch.Generator) -> list[Tensor]:
        """Cross-entropy of masked tokens, of the bag of tokens and of the class, in the order of `LOSSES`."""
        tokens = self._trimmed(rows)
        hidden = self._hidden(tokens, g)
        real = (tokens != self.pad).long()
        states = self.model(tokens.masked_fill(hidden, self.mask), attention_mask=real).last_hidden_state
        embedding = pooled(states, real, self.config.pooling)
        guesses = self.to_token(states[hidden])
        masked = F.cross_entropy(guesses, tokens[hidden], reduction="sum") / hidden.sum().clamp_min(1)
        bag = F.cross_entropy(self.to_bag(embedding), bags(tokens, self.rarity.to(tokens.device)))
        return [masked, bag, F.cross_entropy(self.to_class(embedding), self.labels[rows])]

    def _trimmed(self, rows: Tensor) -> Tensor:
        """The texts `rows` without columns that are padding in all of them."""
        tokens = self.tokens[rows]
        return tokens[:, : int((tokens != self.pad).sum(1).max())]

    def _hidden(self, tokens: Tensor, g: torch.Generator) -> Tensor:
        """Which tokens are masked, bool, like `tokens`; never special ones."""
        drawn = torch.rand(tokens.shape, generator=g).to(tokens.device) < _MASKED
        return drawn & ~torch.isin(tokens, self.special.to(tokens.device))


def train_bert(
    model: BertModel,
    tokenizer: PreTrainedTokenizerFast,
    tokens: Tensor,
    labels: Tensor | None,
    config: LocalBertConfig,
    training: Training,
) -> dict[str, list[float]]:
    """Train on texts [N, T] and their labels [N]; return the mean losses of each epoch.

    Raises:
        UserError: a loss became NaN or infinite.
    """
    batches = EpochBatches(len(tokens), config.batch, [config.seed], tokens.device)
    steps = len(batches) * config.epochs
    module = MaskedLanguageTraining(model, tokenizer, tokens, labels, config, training, steps)
    fit(module, batches, config.epochs, training)
    return module.losses.curves


def _token(tokenizer: PreTrainedTokenizerFast, name: str) -> int:
    number = getattr(tokenizer, f"{name}_token_id")
    assert isinstance(number, int), f"a BERT's tokenizer has a {name} token"
    return number
