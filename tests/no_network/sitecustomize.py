"""Python processes that find this on their path reach nothing outside this machine.

The tests install it in their own process and put its folder on the path of those that they start.
"""

import socket

_LOCAL = ("127.", "::1", "localhost", "0.0.0.0")


class BlockedError(OSError):
    """A test tried to use the network."""


def _refuse(host):
    if host is not None and not str(host).startswith(_LOCAL) and str(host) != socket.gethostname():
        raise BlockedError(f"the tests use no network, but something asked for {host}")


def _guarded(method):
    def connect(self, address):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _refuse(address[0])
        return method(self, address)

    return connect


def _guarded_lookup(lookup):
    def getaddrinfo(host, *arguments, **named):
        _refuse(host.decode() if isinstance(host, bytes) else host)
        return lookup(host, *arguments, **named)

    return getaddrinfo


def install():
    """Refuse connections and look-ups of other machines; twice is the same as once."""
    if getattr(socket, "_relrep_blocked", False):
        return
    socket._relrep_blocked = True
    socket.socket.connect = _guarded(socket.socket.connect)
    socket.socket.connect_ex = _guarded(socket.socket.connect_ex)
    socket.getaddrinfo = _guarded_lookup(socket.getaddrinfo)


install()
