"""A real etcd, one member, plain HTTP on loopback."""
import os

from .https import Client
from .paths import tool
from .ports import free_ports
from .proc import Process, Service


class Etcd(Service):
    def __init__(self, folder):
        self.folder = str(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.port, peer = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        peer_url = f"http://127.0.0.1:{peer}"
        self.process = Process(
            [tool("etcd"), "--name=test", f"--data-dir={self.folder}/data",
             f"--listen-client-urls={self.url}", f"--advertise-client-urls={self.url}",
             f"--listen-peer-urls={peer_url}", f"--initial-advertise-peer-urls={peer_url}",
             f"--initial-cluster=test={peer_url}"],
            os.path.join(self.folder, "etcd.log"), name="etcd")

    def _healthy(self):
        try:
            with Client(self.port, timeout=5) as c:
                got = c.get("/health")
                return got.status == 200 and got.json.get("health") == "true"
        except OSError:
            return False

    def start(self):
        self.process.start()
        self.process.wait_for(self._healthy, "etcd to be healthy")
        return self

    def compact(self):
        """Forgets all revisions but the present one."""
        with Client(self.port) as c:
            now = c.post("/v3/kv/range", json={"key": "AA=="}).json["header"]["revision"]
            got = c.post("/v3/kv/compaction", json={"revision": now, "physical": True})
            assert got.status == 200, got

    def stop(self):
        self.process.stop()
