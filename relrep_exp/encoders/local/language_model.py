"""Training of the tiny language models: write on, and know at the full stop what the sentence has said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
import transformers as hf
from torch import Tensor, nn

from relrep_exp.data import templates
from relrep_exp.encoders.local.tokenizer import from_json, to_json, train_tokenizer
from relrep_exp.encoders.local.training import TextTraining, bags, rarity
from relrep_exp.encoders.text_model import TextEncoder, Tokens
from relrep_exp.training.device import Training
from relrep_exp.training.fit import EpochBatches, fit

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from relrep_exp.config.schema import LocalLmConfig
    from relrep_exp.encoders.made import LocalLmSource

LOSSES = ("next_token", "bag")
_FLOOR = 1e-4  # of a variance; a batch of one row is all zeros


def load(source: LocalLmSource, training: Training) -> TextEncoder:
    """Load the trained model of a source, from its checkpoint if there is one."""
    config = source.config

    def train(training: Training) -> tuple[dict[str, Tensor], dict[str, Any]]:
        # The tokenizer first, then weights; of the head nothing is kept but its tied embeddings.
        sentences = source.sentences()
        texts = [str(sentence) for sentence in sentences]
        paraphrases = [str(templates.paraphrase(sentence)) for sentence in sentences]
        tokenizer = train_tokenizer(texts, config.vocabulary, "bpe")
        tokens = Tokens(tokenizer, config.max_length, len(tokenizer), positions=False)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = untrained(config, tokenizer)
            curves = train_language_model(model, tokens, texts, paraphrases, config, training)
        describe = {"encoder": asdict(config), "tokenizer": to_json(tokenizer), "curves": curves}
        return dict(model.base_model.state_dict()), describe

    entry = source.kept(training, train)
    tokenizer = from_json(entry.describe["tokenizer"])
    with torch.random.fork_rng(devices=[]):
        model: Any = untrained(config, tokenizer).base_model
    model.load_state_dict(entry.tensors)
    return TextEncoder(model, tokenizer, "last", config.layer, config.max_length)


def untrained(config: LocalLmConfig, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    """Make a language model without dropout; draws its weights from torch's current generator."""
    vocabulary = {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.eos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_range": config.initial_std,
        "tie_word_embeddings": True,
    }
    if config.architecture == "gpt2":
        shape: dict[str, Any] = {"n_embd": config.dim, "n_layer": config.depth, "n_head": config.heads}
        none: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
        return hf.GPT2LMHeadModel(hf.GPT2Config(**vocabulary, **shape, **none, n_positions=config.max_length))
    rotary: dict[str, Any] = {
        "hidden_size": config.dim,
        # Their gated MLPs have three matrices, so 8/3 of the width costs GPT-2's 4.
        "intermediate_size": 8 * config.dim // 3,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "max_position_embeddings": config.max_length,
    }
    if config.architecture == "llama":
        return hf.LlamaForCausalLM(hf.LlamaConfig(**vocabulary, **rotary))
    head = config.dim // config.heads
    # One key and value head for all queries, as in Gemma 3 1B; no sentence outgrows the sliding window.
    rotary |= {"num_key_value_heads": 1, "head_dim": head, "query_pre_attn_scalar": head}
    return hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(**vocabulary, **rotary, sliding_window=config.max_length))


class LanguageModelTraining(TextTraining):
    """A causal language model under two readers.

    One guesses each token of a sentence from those before it, and after the last one its end. The other must
    tell, from the last token's state alone, which tokens the sentence's paraphrase has (rare ones count
    more). Without it that state would forget the sentence, as only the end follows; a large model's keeps it,
    because texts go on. The second reader standardises what it reads, so a sentence's content need not be
    loud: most of a state is what the next token asks for, the same for all sentences, as in large models.

    Args:
        model: with its language head; dropout 0, so that nothing draws from a global generator.
        groups: sentences of equal length, int64 [B, T] each: a step takes one, so that nothing is padded.
        targets: the tokens of their paraphrases, int64 [B, T'] each, padded.
        weights: what each token counts in a bag, [V].
        config: weights of the losses, learning rate, the layer that is read.
        training: who is told the losses.
        steps: length of the learning rate's cycle.
    """

    weights: Tensor

    def __init__(
        self,
        model: PreTrainedModel,
        groups: Sequence[Tensor],
        targets: Sequence[Tensor],
        weights: Tensor,
        config: LocalLmConfig,
        training: Training,
        steps: int,
    ):
        super().__init__(config.architecture, LOSSES, config.lr, config.weight_decay, steps, training)
        self.model, self.groups, self.targets, self.config = model, groups, targets, config
        self.to_bag = nn.Linear(config.dim, len(weights))
        self.register_buffer("weights", weights)

    def training_step(self, rows: Tensor, _: int) -> dict[str, Any]:
        """Weigh the two losses on one group; `rows` [1, 1] is its number."""
        group = int(rows)
        terms = self.objective(self.groups[group], bags(self.targets[group], self.weights))
        loss = self.config.next_token * terms[0] + self.config.bag * terms[1]
        return {"loss": loss, "terms": terms}

    def objective(self, tokens: Tensor, bag: Tensor) -> list[Tensor]:
        """Cross-entropy of the next token and of the paraphrase's bag, in the order of `LOSSES`."""
        read = self.model(input_ids=tokens, use_cache=False, output_hidden_states=True)
        end = tokens.new_full((len(tokens), 1), self.model.config.eos_token_id)
        following = torch.cat([tokens[:, 1:], end], dim=1)
        last = read.hidden_states[self.config.layer][:, -1]
        return [
            F.cross_entropy(read.logits.flatten(0, 1), following.flatten()),
            F.cross_entropy(self.to_bag(standardised(last)), bag),
        ]


def train_language_model(
    model: PreTrainedModel,
    tokens: Tokens,
    texts: Sequence[str],
    paraphrases: Sequence[str],
    config: LocalLmConfig,
    training: Training,
) -> dict[str, list[float]]:
    """Train on sentences and a paraphrase of each; return the mean losses of each epoch.

    Raises:
        UserError: a loss became NaN or infinite.
    """
    read, targets = tokens.batch(texts), tokens.batch(paraphrases)["input_ids"]
    lengths = read["attention_mask"].sum(1)
    rows = equal_lengths(lengths, config.batch)
    groups = [read["input_ids"][group, : int(lengths[group[0]])] for group in rows]
    weights = rarity(targets, model.config.vocab_size, [model.config.pad_token_id])
    batches = EpochBatches(len(rows), 1, [config.seed], torch.device("cpu"))
    module = LanguageModelTraining(
        model,
        groups,
        [targets[group] for group in rows],
        weights,
        config,
        training,
        len(batches) * config.epochs,
    )
    fit(module, batches, config.epochs, training)
    return module.losses.curves


def standardised(states: Tensor) -> Tensor:
    """Standardise each feature by its mean and deviation in this batch. [B, d] -> [B, d]."""
    centred = states - states.mean(0)
    return centred / (centred.square().mean(0) + _FLOOR).sqrt()


def equal_lengths(lengths: Tensor, batch: int) -> list[Tensor]:
    """Group row numbers [at most `batch`] of texts of one length [N], for batches without padding."""
    return [group for n in lengths.unique() for group in (lengths == n).nonzero()[:, 0].split(batch)]
