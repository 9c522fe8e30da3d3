"""What a sweep closes with."""


def test_an_experiment_swept_over_something_besides_closes_with_a_table_for_each(python_run, file, outputs):
    words = ["task=precomputed_stitch", f"zoo.path={file}", "decoder=linear", "logger=none"]
    done = python_run(
        "experiment=demo",
        *words,
        f"paths.outputs={outputs}",
        "anchors.m=4,5",
        "experiment.axes={seed: [0]}",
    )
    assert done.returncode == 0, done.stderr
    titles = [line for line in done.stdout.splitlines() if line.startswith("Zero-shot stitching")]
    assert len(titles) == 2
    assert all((outputs / "report" / "demo" / part / "table.csv").exists() for part in "01")
