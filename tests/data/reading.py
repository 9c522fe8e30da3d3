"""Samples of a configuration, and what tells them from others, asked of a `Dataset` that nobody else has."""

import csv
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import TypeAdapter

from relrep_exp.config.schema import DataConfig, ParallelConfig
from relrep_exp.data.sources import Dataset
from relrep_exp.errors import UserError
from relrep_exp.store.files import CONF


def config(group, name, **changes):
    """The configuration conf/GROUP/NAME.yaml, with changes."""
    values = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    kinds = TypeAdapter(DataConfig if group == "data" else ParallelConfig)
    return kinds.validate_python({**values, **changes})


def load(config, views, offline=True):
    return Dataset(config, offline).load(views)


def identity(config, views, offline=True):
    return Dataset(config, offline).identity(views)


def told(call, *args, **more):
    """What the user is told; every problem has a remedy."""
    with pytest.raises(UserError) as caught:
        call(*args, **more)
    assert all(problem.what and problem.remedy for problem in caught.value.problems)
    return caught.value.problems


def refused(config, *views):
    """The message in place of samples."""
    return "\n".join(map(str, told(load, config, list(views))))


def write(path, rows):
    """A table in the format that the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = path.name.removesuffix(".gz").rsplit(".", 1)[1]
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    opened = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "wt", encoding="utf-8", newline="") as stream:
        if kind in ("jsonl", "json"):
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if kind == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path
