"""Free TCP ports on loopback.

Taken below the kernel's ephemeral range, so that no outgoing connection of another test can land on one between
our look and the server's bind. A port is handed out once per process; parallel runs start at different places.
"""
import os
import random
import socket
import threading

_FIRST, _LAST = 15000, 32000
_given = set()
_lock = threading.Lock()
_random = random.Random(os.getpid() ^ int.from_bytes(os.urandom(4), "big"))


def is_free(port, host="127.0.0.1"):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, port))
        except OSError:
            return False
    return True


def free_port():
    """One port nobody listens on now."""
    with _lock:
        for _ in range(1000):
            port = _random.randrange(_FIRST, _LAST)
            if port not in _given and is_free(port):
                _given.add(port)
                return port
    raise RuntimeError("no free port found")


def free_ports(n):
    return [free_port() for _ in range(n)]
