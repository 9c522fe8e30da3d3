"""Which records share a table."""

from __future__ import annotations

from relrep_exp.report.tables.groups import homogeneous
from relrep_exp.report.tables.pair_tables import comparison
from report.synthetic import single


def titles(records) -> dict[str, list[tuple[str, int]]]:
    groups = homogeneous(records)
    for group in groups:
        comparison(group.records)  # every group is a legal table
    assert len({group.title for group in groups}) == len(groups)
    return {
        group.title: [(record.method, record.config["seed"]) for record in group.records] for group in groups
    }


def test_methods_and_seeds_share_a_table_whatever_makes_the_method():
    configs = {"absolute": {"aligner": "absolute"}, "param": {"anchors": {"m": 300, "lr": 0.1}, "sim": "wip"}}
    records = [single(m, seed, 0.5, config=c) for m, c in configs.items() for seed in (10, 9)]
    assert titles(records) == {
        "digits_stitch": [("absolute", 9), ("absolute", 10), ("param", 9), ("param", 10)]
    }


def test_tasks_and_shared_settings_set_tables_apart():
    records = [
        single("x", 0, 0.5, config={"decoder": {"name": "linear", "width": 1}}),
        single("x", 0, 0.5, config={"decoder": {"name": "svm", "width": 1}}),
        single("x", 0, 0.5, task="other", config={"zoo": ["a", "b"]}),
    ]
    decoders = {f"digits_stitch, decoder.name={name}" for name in ("linear", "svm")}
    assert set(titles(records)) == {"other"} | decoders


def test_variants_of_a_method_get_a_table_each_with_the_methods_that_do_not_vary():
    records = [single("param", s, 0.5, config={"anchors": {"m": m}}) for m in (100, 300) for s in (0, 1)]
    records += [single("absolute", 0, 0.9, config={"aligner": "absolute"})]
    expected = [("absolute", 0), ("param", 0), ("param", 1)]
    assert titles(records) == {
        "digits_stitch, anchors.m=100": expected,
        "digits_stitch, anchors.m=300": expected,
    }


def test_methods_that_vary_in_different_settings_do_not_collide():
    records = [single("a", 0, 0.5, config={"anchors": {"m": m}}) for m in (1, 2)]
    records += [single("b", 0, 0.5, config={"anchors": {"m": 1, "t": t}}) for t in (0.1, None)]
    found = titles(records)
    assert len(found) == 4
    assert sorted(pair for members in found.values() for pair in members) == [("a", 0)] * 2 + [("b", 0)] * 2


def test_a_title_names_a_few_of_many_settings_and_more_where_it_takes_more():
    def config(width, **last):
        return {"zoo": {"name": "z" * 100, **{f"k{n}": width for n in range(8)}, **last}}

    records = [single("x", 0, 0.5, config=config(0)), single("x", 0, 0.5, config=config(1))]
    first, second = homogeneous(records)
    assert first.title == "digits_stitch, zoo.k0=0, zoo.k1=0, zoo.k2=0, 5 more settings"
    assert first.settings == {f"zoo.k{n}": "0" for n in range(8)}
    assert second.title.startswith("digits_stitch, zoo.k0=1")
    records.append(single("x", 0, 0.5, config=config(1, k3=2)))
    assert [group.title for group in homogeneous(records)][1:] == [
        "digits_stitch, zoo.k0=1, zoo.k1=1, zoo.k2=1, zoo.k3=1, 4 more settings",
        "digits_stitch, zoo.k0=1, zoo.k1=1, zoo.k2=1, zoo.k3=2, 4 more settings",
    ]
    named = [single("x", 0, 0.5, config={"a": n, "zoo": {"name": str(n) * 50}}) for n in (0, 1)]
    assert homogeneous(named)[0].title == f"digits_stitch, zoo.name={'0' * 40}, a=0"


def test_nothing_gives_no_groups():
    assert homogeneous([]) == []
