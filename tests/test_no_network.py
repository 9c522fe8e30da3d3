"""The tests themselves are kept from the network, in this process and in those that they start."""

import socket
import subprocess
import sys
import urllib.request
from urllib.error import URLError

import pytest

ASK = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)"


def test_another_machine_cannot_be_reached_from_here():
    for ask in (
        lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
        lambda: socket.getaddrinfo("example.org", 80),
        lambda: urllib.request.urlopen("http://example.org", timeout=5),
    ):
        with pytest.raises((OSError, URLError), match="the tests use no network"):
            ask()


def test_nor_from_a_process_that_a_test_starts(environment):
    done = subprocess.run([sys.executable, "-c", ASK], env=environment, capture_output=True, text=True)
    assert done.returncode == 1 and "the tests use no network" in done.stderr


def test_this_machine_can():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
