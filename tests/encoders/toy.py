"""A tiny encoder whose embeddings are exact, and samples for it, some of which cannot be read."""

import torch

from relrep_exp.data.samples import BadSampleError
from relrep_exp.encoders.embed import Extraction, extract
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.store.keys import content_key
from relrep_exp.store.shards import Plan

KEY = content_key({"model": "toy"})
CPU = torch.device("cpu")


def embedding(sample):
    """[3] of a list of whole numbers, exact in float32 and different for all that tests use."""
    return [float(sum(sample)), float(len(sample)), float(sum(place * n for place, n in enumerate(sample)))]


class Toy(Encoder):
    """Sums the numbers of each sample, padded to the longest of its batch; keeps what it was given."""

    dim = 3

    def __init__(self, most=10**6, sized=True):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.most, self.sized, self.batches, self.asked = most, sized, [], []

    def prepare(self, samples):
        assert samples, "nothing to prepare"
        longest = max(map(len, samples))
        padded = [sample + [0] * (longest - len(sample)) for sample in samples]
        return {"numbers": torch.tensor(padded), "lengths": torch.tensor([len(sample) for sample in samples])}

    def forward(self, inputs):
        numbers, lengths = inputs["numbers"], inputs["lengths"]
        if len(numbers) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        self.batches.append(lengths.tolist())
        places = torch.arange(numbers.shape[1])
        return self.scale * torch.stack([numbers.sum(1), lengths, (numbers * places).sum(1)], dim=1).float()

    def sizes(self, samples):
        self.asked.append(len(samples))
        return [len(sample) for sample in samples] if self.sized else None


class Damaged(list):
    """Samples of which some cannot be read."""

    def __init__(self, samples, bad):
        super().__init__(samples)
        self.bad = bad

    def __getitem__(self, row):
        if row in self.bad:
            raise BadSampleError(f"kaputt at {row}")
        return super().__getitem__(row)

    def __iter__(self):
        return (self[row] for row in range(len(self)))


def samples_of(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 12, (n,), generator=generator).tolist()
    return [torch.randint(1, 1000, (length,), generator=generator).tolist() for length in lengths]


SAMPLES = samples_of(50)
PLAN = Plan(KEY, len(SAMPLES), 64)
EXPECTED = torch.tensor([embedding(sample) for sample in SAMPLES])


def run(outputs, encoder=None, samples=SAMPLES, key=KEY, **how):
    encoder = encoder or Toy()
    return extract(key, "toy", samples, lambda: encoder, {"model": "toy"}, outputs, Extraction(CPU, **how))


def finished(outputs):
    return sorted(path.name[:5] for path in (outputs / "embeddings" / f"{KEY}.parts").glob("*.json"))
