"""The engine: whatever the batches, shards, workers and devices, row n is the embedding of sample n."""

import logging
import os
import signal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import CPU, EXPECTED, KEY, PLAN, SAMPLES, Damaged, Toy, finished, run

from relrep_exp.encoders.embed import Extraction, extract
from relrep_exp.encoders.encoder import Encoder
from relrep_exp.encoders.predict import EncoderModule
from relrep_exp.errors import UserError
from relrep_exp.store.shards import Parts


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 40),
    batch=st.integers(1, 9) | st.just("auto"),
    tokens=st.integers(1, 60),
    shard=st.integers(1, 45),
    sized=st.booleans(),
    bad=st.sets(st.integers(0, 39), max_size=5),
)
def test_each_row_is_the_embedding_of_its_sample(tmp_path_factory, n, batch, tokens, shard, sized, bad):
    bad = {row for row in bad if row < n}
    how = {"batch": batch, "batch_tokens": tokens, "shard": shard, "on_error": "skip"}
    encoder, samples = Toy(sized=sized), Damaged(SAMPLES[:n], bad)
    found = run(tmp_path_factory.mktemp("outputs"), encoder, samples, **how)
    ok = torch.tensor([row not in bad for row in range(n)])
    assert torch.equal(found.ok, ok)
    assert torch.equal(found.x, EXPECTED[:n] * ok[:, None])
    if batch != "auto":
        assert all(len(lengths) <= batch for lengths in encoder.batches)
        assert sum(map(len, encoder.batches)) == n - len(bad)


def test_a_second_call_reads_and_loads_nothing_and_notices_other_samples(tmp_path):
    run(tmp_path)
    how = Extraction(CPU, batch=3, shard=7)
    found = extract(KEY, "toy", SAMPLES, lambda: pytest.fail("it was loaded"), {}, tmp_path, how)
    assert torch.equal(found.x, EXPECTED)
    assert (found.x.dtype, found.ok.dtype) == (torch.float32, torch.bool)
    with pytest.raises(ValueError, match="50 embeddings and there are 49 samples"):
        run(tmp_path, samples=SAMPLES[:49])
    with pytest.raises(UserError, match="'toy': there are no samples"):
        run(tmp_path, samples=[])


def test_the_encoder_runs_frozen_and_as_it_is_and_its_half_precision_comes_out_as_float32(tmp_path):
    seen = []

    class Curious(Toy):
        def forward(self, inputs):
            seen.append((torch.is_inference_mode_enabled(), self.training, torch.is_autocast_enabled("cpu")))
            return super().forward(inputs).to(torch.bfloat16)

    found = run(tmp_path, Curious().train())
    assert set(seen) == {(True, False, False)}
    assert torch.equal(found.x, EXPECTED.to(torch.bfloat16).float())


def test_an_embedding_keeps_nothing_of_its_batch_in_memory(tmp_path):
    class Sliced(Toy):
        def forward(self, inputs):
            return super().forward(inputs)[:, None].repeat(1, 100, 1)[:, 0]

    encoder = Sliced()
    parts = Parts(tmp_path, PLAN)
    module = EncoderModule("toy", encoder, SAMPLES, Extraction(CPU), parts, [0], torch.zeros(1), None)
    x = module.embed(encoder.prepare(SAMPLES))
    assert x.untyped_storage().nbytes() == 4 * EXPECTED.numel()
    assert torch.equal(x, EXPECTED)


@pytest.mark.parametrize(("workers", "threads"), [(0, None), (1, "false")])
def test_no_global_random_number_is_drawn_and_the_environment_stays(tmp_path, monkeypatch, workers, threads):
    """Tokenizers keep their threads where no worker is forked."""

    class Asking(Toy):
        def sizes(self, samples):
            seen.add(os.environ.get("TOKENIZERS_PARALLELISM"))
            return super().sizes(samples)

    seen = set()
    monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    before, environment = torch.get_rng_state(), dict(os.environ)
    run(tmp_path, Asking(), workers=workers)
    assert torch.equal(torch.get_rng_state(), before)
    assert dict(os.environ) == environment
    assert seen == {threads}


def test_workers_prepare_the_same(tmp_path):
    class Elsewhere(Toy):
        def prepare(self, samples):
            assert os.getpid() != parent
            return super().prepare(samples)

    parent = os.getpid()
    found = run(tmp_path, Elsewhere(), Damaged(SAMPLES, {4}), workers=2, batch=6, shard=20, on_error="skip")
    assert torch.equal(found.x[5:], EXPECTED[5:])
    assert not found.ok[4] and not found.x[4].any()


def test_images_reach_the_encoder_with_channels_last_if_asked(tmp_path):
    class Image(Encoder):
        dim = 2

        def __init__(self):
            super().__init__()
            self.layer, self.seen = torch.nn.Conv2d(3, 2, 3), []

        def prepare(self, samples):
            return torch.stack(samples)

        def forward(self, inputs):
            layout = torch.channels_last
            weight = self.layer.weight
            self.seen += [x.is_contiguous(memory_format=layout) for x in (inputs, weight)]
            return self.layer(inputs).mean((2, 3))

    images = list(torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    plain, last = Image(), Image()
    last.load_state_dict(plain.state_dict())
    one = run(tmp_path / "plain", plain, images)
    other = run(tmp_path / "last", last, images, channels_last=True)
    assert not any(plain.seen) and all(last.seen)
    torch.testing.assert_close(one.x, other.x)


def test_an_unreadable_sample_stops_and_finished_shards_are_kept(tmp_path):
    with pytest.raises(UserError, match="encoder 'toy': row 37 cannot be read: kaputt at 37") as caught:
        run(tmp_path, samples=Damaged(SAMPLES, {37}), shard=10)
    assert "data.on_error=skip" in caught.value.problems[0].remedy
    assert finished(tmp_path) == ["00000", "00001", "00002"]
    encoder = Toy()
    found = run(tmp_path, encoder, Damaged(SAMPLES, {37}), shard=10, on_error="skip")
    assert sum(map(len, encoder.batches)) == 19
    assert found.ok.sum() == 49 and not found.x[37].any()


def test_many_unreadable_samples_are_counted_not_listed(tmp_path):
    with pytest.raises(
        UserError, match=r"row 0 .*row 4 cannot be read: kaputt at 4; and 45 more\n"
    ) as caught:
        run(tmp_path, Toy(sized=False), Damaged(SAMPLES, set(range(50))))
    assert len(caught.value.problems) == 1


def test_samples_left_out_are_told_on_every_read_and_are_an_error_for_who_wants_all(tmp_path, caplog):
    samples = Damaged(SAMPLES, {3, 4})
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "relrep_exp"):
            run(tmp_path, samples=samples, on_error="skip")
        assert "2 samples are left out: row 3 cannot be read: kaputt at 3; row 4" in caplog.text
    with pytest.raises(UserError, match="row 3 cannot be read"):
        run(tmp_path, samples=samples)


def test_an_embedding_that_is_not_finite_is_named(tmp_path):
    class Overflowing(Toy):
        def forward(self, inputs):
            x = super().forward(inputs)
            return torch.where(x[:, :1] == EXPECTED[31, 0], torch.inf, x)

    with pytest.raises(UserError, match="encoder 'toy': the embedding of row 31 is not finite") as caught:
        run(tmp_path, Overflowing(), shard=10)
    assert "zoo.dtype=bf16" in caught.value.problems[0].remedy
    assert finished(tmp_path) == ["00000", "00001", "00002"]


def test_a_batch_that_does_not_fit_says_what_might(tmp_path):
    with pytest.raises(UserError, match=r"runtime\.batch=16 does not fit: 16 rows") as caught:
        run(tmp_path, Toy(most=10), batch=16)
    assert caught.value.problems[0].remedy == "use runtime.batch=8 or auto"
    assert torch.equal(run(tmp_path, Toy(most=10), batch=8).x, EXPECTED)


@pytest.mark.parametrize("batch", [1, "auto"])
def test_a_single_sample_that_does_not_fit_says_so(tmp_path, batch):
    with pytest.raises(UserError, match="a single sample is too much"):
        run(tmp_path, Toy(most=0), batch=batch)


def test_another_error_of_the_encoder_stays_itself(tmp_path):
    class Broken(Toy):
        def forward(self, inputs):
            raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(tmp_path, Broken())


def test_ctrl_c_comes_out_and_finished_shards_are_kept(tmp_path):
    class Interrupted(Toy):
        def forward(self, inputs):
            if len(self.batches) == 2:
                signal.raise_signal(signal.SIGINT)
            return super().forward(inputs)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Interrupted(), batch=10, shard=10)
    assert signal.getsignal(signal.SIGINT) is before
    assert finished(tmp_path) == ["00000", "00001"]


def test_the_bar_counts_samples_and_names_the_encoder_and_without_it_nothing_is_said(
    tmp_path, capfd, monkeypatch
):
    run(tmp_path / "quiet", shard=20)
    assert capfd.readouterr() == ("", "")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    run(tmp_path / "shown", shard=20, progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert "toy" in err and "50/50" in err


@pytest.mark.slow  # importing torch's compiler alone takes seconds
def test_a_missing_compiler_is_the_users_to_mend(tmp_path, monkeypatch):
    import torch._inductor.config as inductor

    monkeypatch.setattr(inductor.cpp, "cxx", (None, "/there/is/no/compiler"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(UserError, match=r"'toy': runtime\.compile=true fails") as caught:
        run(tmp_path, compile=True)
    assert "runtime.compile=false" in caught.value.problems[0].remedy


class Marked(Toy):
    """Cannot be fooled about where it runs: it tells every process that runs it by a file."""

    def __init__(self, folder, bad_row=None):
        super().__init__()
        self.folder, self.bad_row = folder, bad_row

    def forward(self, inputs):
        (self.folder / f"ran-{os.getpid()}").touch()
        x = super().forward(inputs)
        return x if self.bad_row is None else torch.where(x[:, :1] == EXPECTED[self.bad_row, 0], torch.nan, x)


@pytest.mark.slow  # each process imports torch and Lightning
def test_two_processes_write_the_same_bytes_as_one_and_a_child_says_what_is_wrong(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, batch=4, shard=8)
    found = run(two, Marked(tmp_path), batch=4, shard=8, devices=2)
    assert torch.equal(found.x, EXPECTED)
    files = [sorted((folder / "embeddings" / KEY).glob("*.safetensors")) for folder in (one, two)]
    assert [path.read_bytes() for path in files[0]] == [path.read_bytes() for path in files[1]]
    ran = {path.name for path in tmp_path.glob("ran-*")}
    assert len(ran) == 2 and f"ran-{os.getpid()}" not in ran
    with pytest.raises(UserError, match="encoder 'toy': the embedding of row 41 is not finite"):
        run(tmp_path / "three", Marked(tmp_path, 41), batch=4, shard=8, devices=2)
