"""Tiny checkpoints of the text zoos' families, written with transformers' own classes; random weights."""

import json

import torch
import transformers as tf
from making import HOW, sources, told
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from relrep_exp.config.schema import TransformersEncoderConfig, TransformersZoo

SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "A good book, arrived on time and well packed.",
    "Der Akku hält leider nur einen Tag; sonst gut.",
    "Très déçue: la couleur n'est pas celle de la photo!",
    "No funciona, ¿qué puedo hacer con él?",
    "这个产品质量很好，我很喜欢。",
    "Nothing new. 12345 67890",
] * 3
# Lengths from nothing to far beyond what a model can take.
TEXTS = [
    "a good dog",
    "",
    "The fox " * 40,
    " \n\t",
    "这个产品很好",
    "x",
    "déçue " * 7 + "\U0001f600",
    "fox " * 300,
    "\n\t \u3000",
]


def bert(seed=0, **changes):
    """BERT with WordPiece: [CLS] text [SEP], 64 positions."""
    special = _quiet(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    trainer = trainers.WordPieceTrainer(vocab_size=200, **special)
    vocab = _trained(models.WordPiece(unk_token="[UNK]"), trainer)["vocab"]
    tokenizer = tf.BertTokenizer(vocab=vocab, do_lower_case=False, model_max_length=64)
    config = tf.BertConfig(**_sizes(vocab), intermediate_size=48, max_position_embeddings=64, **changes)
    return _model(tf.BertModel, config, seed), tokenizer


def camembert(seed=0, **changes):
    """CamemBERT with a unigram model; its positions start after the one of padding, so 62 of 64 are left."""
    special = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>", "<mask>"]
    pieces = _trained(
        models.Unigram(), trainers.UnigramTrainer(vocab_size=150, unk_token="<unk>", **_quiet(special))
    )
    vocab = [tuple(piece) for piece in pieces["vocab"]]
    tokenizer = tf.CamembertTokenizer(vocab=vocab, model_max_length=512)
    config = tf.CamembertConfig(
        **_sizes(vocab), intermediate_size=48, max_position_embeddings=64, pad_token_id=1, **changes
    )
    return _model(tf.CamembertModel, config, seed), tokenizer


def gpt2(seed=0, **changes):
    """GPT-2 with bytes: no padding token, no token around a text."""
    learned = _bytes(["<|endoftext|>"])
    tokenizer = tf.GPT2Tokenizer(vocab=learned["vocab"], merges=_merges(learned), model_max_length=64)
    config = tf.GPT2Config(**_sizes(learned["vocab"]), max_position_embeddings=64, **changes)
    return _model(tf.GPT2LMHeadModel, config, seed), tokenizer


def llama(seed=0, **changes):
    """Llama: <s> before a text, no padding token, padding to the left."""
    learned = _sentencepiece(["<unk>", "<s>", "</s>"])
    tokenizer = tf.LlamaTokenizer(vocab=learned["vocab"], merges=_merges(learned), add_bos_token=True)
    config = tf.LlamaConfig(
        **_sizes(learned["vocab"]),
        intermediate_size=48,
        max_position_embeddings=128,
        num_key_value_heads=1,
        **changes,
    )
    return _model(tf.LlamaForCausalLM, config, seed), tokenizer


def gemma3(seed=0, **changes):
    """Gemma 3, text only: <bos> before a text, padding to the left, layers that see a window of 8 tokens."""
    learned = _sentencepiece(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"])
    tokenizer = tf.GemmaTokenizer(vocab=learned["vocab"], merges=_merges(learned), add_bos_token=True)
    config = tf.Gemma3TextConfig(
        **_sizes(learned["vocab"]),
        intermediate_size=48,
        max_position_embeddings=128,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=8,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
        **changes,
    )
    return _model(tf.Gemma3ForCausalLM, config, seed), tokenizer


def clip(seed=0):
    """CLIP with both towers: byte-level BPE of lowered words, a token on either side, 40 positions."""
    learned = _bytes(["<|startoftext|>", "<|endoftext|>"], end_of_word_suffix="</w>")
    tokenizer = tf.CLIPTokenizer(vocab=learned["vocab"], merges=_merges(learned), model_max_length=40)
    text = {**_sizes(learned["vocab"]), "intermediate_size": 48, "projection_dim": 16}
    text |= {"max_position_embeddings": 40, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    image = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    image |= {"image_size": 8, "patch_size": 4, "projection_dim": 16}
    config = tf.CLIPConfig(text_config=text, vision_config=image, projection_dim=16)
    return _model(tf.CLIPModel, config, seed), tokenizer


FAMILIES = {"bert": bert, "camembert": camembert, "gpt2": gpt2, "llama": llama, "gemma3": gemma3}
CAUSAL = ("gpt2", "llama", "gemma3")


def save(family, folder, seed=0, **changes):
    """Write the checkpoint as its owner would publish it; the folder."""
    model, tokenizer = {**FAMILIES, "clip": clip}[family](seed, **changes)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def source(folder, dtype="float32", **settings):
    """The checkpoint as the encoder `mine` of a zoo."""
    config = TransformersEncoderConfig(model="owner/tiny", path=str(folder), **settings)
    return sources(TransformersZoo("transformers", "tiny", {"mine": config}, dtype))["mine"]


def told_loading(folder, **settings):
    """What the user is told; every problem names the encoder's key."""
    problems = told(lambda: source(folder, **settings).load(HOW))
    assert all("zoo.encoders.mine" in problem.what for problem in problems)
    return "\n".join(map(str, problems))


def rewritten(change):
    """Weights changed by a function of name -> tensor."""

    def spoil(folder):
        weights = change(load_file(folder / "model.safetensors"))
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    return spoil


def edit(folder, name, **changes):
    """Change keys of a JSON file in a checkpoint; None removes one."""
    path = folder / name
    merged = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}))


def _sizes(vocab):
    return {"vocab_size": len(vocab), "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}


def _model(kind, config, seed):
    """The weights are larger than at the start of training, so that tokens matter to one another."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = kind(config).eval()
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.normal_(std=0.2)
    return model


def _quiet(special):
    return {"special_tokens": special, "show_progress": False}


def _bytes(special, **suffix):
    """BPE over bytes."""
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, **suffix, **_quiet(special))
    return _trained(models.BPE(**suffix), trainer, pre_tokenizers.ByteLevel(add_prefix_space=False))


def _sentencepiece(special):
    """BPE over characters and "▁" for the space, with bytes for what is unknown."""
    names = special + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=500, **_quiet(names))
    return _trained(models.BPE(byte_fallback=True), trainer, pre_tokenizers.Metaspace())


def _trained(model, trainer, splitter=None):
    """The model part of a trained tokenizer's JSON: vocab, merges."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = splitter or pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(SENTENCES, trainer)
    return json.loads(tokenizer.to_str())["model"]


def _merges(learned):
    return [tuple(merge) for merge in learned["merges"]]
