"""Events as portcullisd leaves them for the worker: the format of common/spool.c, written from its text."""
import base64
import hashlib
import json
import os
import struct
import time

PARTS = ("tmp", "new", "cur", "dead")


def key(provider, username):
    raw = hashlib.sha256(provider.encode() + b"\0" + username.encode()).digest()
    return base64.b32encode(raw)[:26].decode().lower()


def group_key(provider, group):
    """Of the record that a group's own bindings carry."""
    return key(provider, "group\0" + group)


def _texts(*items):
    return b"".join(struct.pack("=Q", len(i.encode())) + i.encode() for i in items)


def _list(items):
    return struct.pack("=Q", len(items)) + _texts(*items)


def digest(ev):
    data = _texts(ev["provider"], ev["issuer"], ev["username"], ev["uid"])
    data += _list(sorted(set(ev["groups"]), key=str.encode))
    for k in sorted(ev["extra"], key=str.encode):
        data += _texts(k) + _list(sorted(set(ev["extra"][k]), key=str.encode))
    return hashlib.sha256(data).hexdigest()


def event(username, groups=(), provider="ldap:corp", uid="", issuer="", extra=None, seen_at=1700000000,
          iat=0):
    ev = {"v": 1, "provider": provider, "issuer": issuer, "username": username, "uid": uid,
          "groups": list(groups), "extra": extra or {}, "seenAt": seen_at, "node": "test"}
    if iat:
        ev["iat"] = iat
    ev["digest"] = digest(ev)
    return ev


class Spool:
    def __init__(self, folder):
        self.folder = str(folder)
        for part in PARTS:
            os.makedirs(os.path.join(self.folder, part), exist_ok=True)

    def put(self, username, groups=(), **kw):
        """As the server does it: durable under tmp/, then renamed. Gives the key."""
        ev = event(username, groups, **kw)
        return self.put_raw(key(ev["provider"], username), json.dumps(ev).encode())

    def put_raw(self, name, data):
        tmp = os.path.join(self.folder, "tmp", name)
        with open(tmp, "wb") as f:
            f.write(data)
        os.rename(tmp, os.path.join(self.folder, "new", name))
        return name

    def names(self, *parts):
        return sorted(n for p in parts or ("new", "cur") for n in os.listdir(os.path.join(self.folder, p)))

    def empty(self):
        return not self.names()

    def reason(self, name):
        with open(os.path.join(self.folder, "dead", name + ".reason"), encoding="utf-8") as f:
            return f.read().strip()


class Acks:
    """What the worker writes back, by a script: common/spool_ack.h."""

    def __init__(self, folder):
        self.folder = os.path.join(str(folder), "ack")
        os.makedirs(self.folder, exist_ok=True)

    def _put(self, name, text):
        tmp = os.path.join(os.path.dirname(self.folder), "tmp", f"ack.{name}")
        with open(tmp, "w", encoding="utf-8") as f:
            f.write(text + "\n")
        os.rename(tmp, os.path.join(self.folder, name))

    def alive(self):
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as f:
            self._put("worker", f"{f.read().strip()} {time.clock_gettime_ns(time.CLOCK_MONOTONIC)}")

    def down(self):
        os.unlink(os.path.join(self.folder, "worker"))

    def put(self, name, digest_):
        self._put(name, digest_)

    def get(self, name):
        """The digest that is settled for that key, or None."""
        try:
            with open(os.path.join(self.folder, name), encoding="utf-8") as f:
                return f.read().strip()
        except FileNotFoundError:
            return None
