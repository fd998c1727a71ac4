"""Runs a program with fixed ports in a network namespace of its own and passes connections in.

Usage: netns_relay.py FD:PORT… -- PROGRAM ARG…, called inside a fresh namespace (unshare --net). Each FD is a listening
socket of the world outside: whoever is accepted there gets a connection to 127.0.0.1:PORT in here. A socket stays in
the namespace it was made in, so nothing has to be entered or left. Ends as PROGRAM ends.
"""
import fcntl
import signal
import socket
import struct
import subprocess
import sys
import threading

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        name = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("H", fcntl.ioctl(s, SIOCGIFFLAGS, name), 16)[0]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


def pump(source, sink):
    """Copies until either end is gone, and passes the end on."""
    try:
        while True:
            data = source.recv(65536)
            if not data:
                break
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def serve(outer, port):
    try:
        inner = socket.create_connection(("127.0.0.1", port), timeout=10)
    except OSError:
        outer.close()
        return
    inner.settimeout(None)
    back = threading.Thread(target=pump, args=(inner, outer), daemon=True)
    back.start()
    pump(outer, inner)
    back.join()
    inner.close()
    outer.close()


def accept_all(listener, port):
    while True:
        outer, _ = listener.accept()
        threading.Thread(target=serve, args=(outer, port), daemon=True).start()


def main():
    cut = sys.argv.index("--")
    loopback_up()
    for pair in sys.argv[1:cut]:
        fd, port = pair.split(":")
        listener = socket.socket(fileno=int(fd))
        threading.Thread(target=accept_all, args=(listener, int(port)), daemon=True).start()
    child = subprocess.Popen(sys.argv[cut + 1:])  # pylint: disable=consider-using-with
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda got, _: child.send_signal(got))
    sys.exit(child.wait())


if __name__ == "__main__":
    main()
