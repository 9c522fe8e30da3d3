"""Samples of a configuration, and what tells them from others, asked of a `Dataset` that nobody else has."""

from relrep_exp.data.sources import Dataset


def load(config, views, offline):
    return Dataset(config, offline).load(views)


def identity(config, views, offline):
    return Dataset(config, offline).identity(views)
