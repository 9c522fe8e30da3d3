"""An experiment from the command line to its files, in a process of its own."""

import csv
import json

from relrep_exp.plan import make_plan

TINY = [
    "~zoo.encoders.vit",
    "~zoo.encoders.resnet",
    "zoo.encoders.mlp.epochs=1",
    "zoo.encoders.gru.epochs=1",
    "anchors.epochs=1",
    "anchors.m=4",
    "seed=0",
    "logger=none",
]


def test_lines_along_the_support_set_in_the_local_profile(python_run, outputs):
    words = [*TINY, "aligner.support=20,60", "task.view_anchors=1", f"paths.outputs={outputs}"]
    done = python_run("experiment=fig4", "profile=local", *words)
    assert done.returncode == 0, done.stderr
    folder = outputs / "report" / "fig4"
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}"
        for name, kinds in (("table", "md csv tex"), ("figure", "png svg csv"))
        for kind in kinds.split()
    }
    table = {
        (row["aligner.support"], row["metric"], row["method"]): float(row["mean"])
        for row in csv.DictReader((folder / "table.csv").open())
    }
    drawn = {
        (row["x"], row["metric"], row["method"]): float(row["mean"])
        for row in csv.DictReader((folder / "figure.csv").open())
    }
    assert table == drawn and len(table) == 2 * 3 * 2
    records = [json.loads(path.read_text()) for path in (outputs / "records").glob("*.json")]
    assert len(records) == 4
    for record in records:
        values = [row["value"] for row in record["rows"] if row["metric"] == "mrr"]
        support = str(record["config"]["method"]["aligner"]["support"])
        assert table[support, "mrr", record["method"]] == sum(values) / len(values)
        [_, view] = record["views"]
        assert view["size"] == [8, 8] and len(view["effective_points"]) == 4
    assert "5 to 15 samples per dimension (d = 72" in (folder / "figure.svg").read_text()


def test_what_local_experiments_run():
    found = make_plan(["experiment=fig3", "profile=local", "seed=0"], sweep=False)
    assert {tuple(run.config.zoo.encoders) for run in found} == {("vit", "resnet", "mlp")}
    assert {run.config.anchors.m for run in found} == {10, 30, 100, 300}
    paper = make_plan(["experiment=fig3", "seed=0", "anchors.m=10"], sweep=False)
    assert {tuple(run.config.zoo.encoders) for run in paper} == {("vit_s", "rexnet", "vit_b")}
    for name, count in (("fig4", 2 * 6), ("table4", 3), ("anchors", 4)):
        runs = make_plan([f"experiment={name}", "profile=local", "seed=0"], sweep=False)
        assert len(runs) == count and {run.config.task.name for run in runs} == {"digits_stitch"}
        assert {run.config.runtime.threads for run in runs} == {1}
