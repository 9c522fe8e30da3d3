"""What W&B wrote offline, read back from its own files."""

import json
import struct


def leveldb_records(content):
    """The entries of a log in LevelDB's format: blocks of 32 KiB, pieces with checksum, length and kind."""
    assert content[:4] == b":W&B"
    place, entry = 7, b""
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack("<HB", content[place + 4 : place + 7])
        entry += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            yield entry
            entry = b""


def entries_of(folder):
    """The entries of an offline run's log, as W&B's own messages."""
    from wandb.proto.wandb_internal_pb2 import Record

    [path] = folder.glob("*.wandb")
    for data in leveldb_records(path.read_bytes()):
        entry = Record()
        entry.ParseFromString(data)
        yield entry


def content_of(folder):
    """Configuration and history of an offline run."""
    config, history = {}, []
    for entry in entries_of(folder):
        for item in [*entry.run.config.update, *entry.config.update]:
            config[item.key or ".".join(item.nested_key)] = json.loads(item.value_json)
        if entry.history.item:
            names = [".".join(item.nested_key) or item.key for item in entry.history.item]
            history.append(
                dict(zip(names, (json.loads(item.value_json) for item in entry.history.item), strict=True))
            )
    return config, history
