"""Names are the command line's: what they choose there is what they choose from Python."""

from inspect import signature
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import relrep_exp
from relrep_exp import Consensus, Gpa, InverseRelative, RelativeSpace, RidgeCca, Translation
from relrep_exp.store.tensors import TensorStore

from . import literal

CONF = Path(__file__).parents[2] / "conf"
OTHERS = {
    "relative": RelativeSpace,
    "consensus": Consensus,
    "gpa": Gpa,
    "ridge_cca": RidgeCca,
    "inverse_relative": InverseRelative,
}


def names(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


@pytest.mark.parametrize(
    "anchors, sim, learned_on",
    [("param_single", "wip", "b"), pytest.param("param", "cosine", "a+b", marks=pytest.mark.slow)],
)
def test_p_is_the_command_lines_for_the_same_seed_and_data(
    anchors, sim, learned_on, arrays, words, outputs, told
):
    """Of a decoder's own encoder, which is the first given to Python, or of all but the test encoder."""
    given = [f"anchors={anchors}", f"sim={sim}", "seed=3", "task.test_encoders=[c]"]
    assert told(*words, *given)[0] == 0
    kept = TensorStore(outputs / "checkpoints")
    entries = [kept.find(path.parent.name) for path in kept.root.glob("*/manifest.json")]
    fits = {entry.describe["fit"]: entry.tensors for entry in entries}
    train = torch.from_numpy(arrays["is_train"])
    spaces = {name: torch.from_numpy(arrays[name])[train] for name in ("b", "a")}
    spaces = spaces if anchors == "param_single" else {name: spaces[name] for name in "ab"}
    space = RelativeSpace(anchors, sim, m=5, seed=3).fit(spaces)
    assert torch.equal(space.support_ids, fits[learned_on]["ids"])
    torch.testing.assert_close(space.anchor_set.weights, fits[learned_on]["weights"])
    assert list(space.members) == list(spaces)


def test_every_anchor_strategy_and_similarity_can_be_named():
    x = literal.embeddings(0, 40, 4).float()
    for anchors in names("anchors"):
        RelativeSpace(anchors)
    for sim in names("sim"):
        assert RelativeSpace("random", sim, m=3).fit({"a": x}).transform(x, "a").shape == (40, 3)


@pytest.mark.parametrize("name", names("aligner"))
def test_every_aligner_is_a_translation_or_says_what_it_is_in_python_and_has_the_same_defaults(name):
    config = OmegaConf.load(CONF / "aligner" / f"{name}.yaml")
    settings = OmegaConf.to_container(config.get("aligner", config))
    x, y = literal.embeddings(0, 20, 4), literal.embeddings(1, 20, 3)
    if name in OTHERS:
        with pytest.raises(ValueError, match=f"in Python it is relrep_exp.{OTHERS[name].__name__}"):
            Translation(name).fit(x, y)
    elif name == "absolute":  # embeddings as they are: there is nothing to make
        with pytest.raises(ValueError, match=r"no translation 'absolute': .*affine, l_ortho, linear, ortho"):
            Translation(name).fit(x, y)
    else:
        assert Translation(name).fit(x, y).transform(x).shape == (20, 3)
    defaults = signature(OTHERS.get(name, Translation)).parameters
    # In Python these are chosen by the data, as in task=precomputed_stitch; everything else is the paper's.
    for key in settings.keys() & defaults.keys() - {"shrinkage", "standardise"}:
        assert defaults[key].default == settings[key], key


def test_what_is_nearly_a_name_is_refused_with_the_nearest():
    for make, near in (
        (lambda: RelativeSpace("param_singel"), "did you mean param_single"),
        (lambda: RelativeSpace("random", "cosin"), "did you mean cosine"),
        (lambda: Translation("orto").fit(torch.eye(3), torch.eye(3)), "did you mean ortho or l_ortho"),
    ):
        with pytest.raises(ValueError, match=near):
            make()


def test_the_package_offers_the_papers_defaults_but_for_what_is_chosen_by_data():
    space = relrep_exp.RelativeSpace()
    assert (space.m, space.support, space.shrinkage, space.eps) == (300, 5000, "auto", 5e-8)
    assert space.similarity.name == "wip"
