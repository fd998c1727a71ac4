"""kubectl as a person with a token, or as the admin."""
import os

from . import kubeconfig
from .paths import tool
from .proc import run


class Kubectl:
    def __init__(self, folder, api, name, pair=None, token=None):
        folder = os.path.join(str(folder), f"kubectl-{name}")
        os.makedirs(folder, exist_ok=True)
        self.home = folder
        self.config = kubeconfig.write(os.path.join(folder, "config"), api.url, api.ca, pair, token, name)
        os.chmod(self.config, 0o600)

    def __call__(self, *args, stdin=None):
        """Gives CompletedProcess."""
        return run([tool("kubectl"), f"--kubeconfig={self.config}",
                    f"--cache-dir={self.home}/cache", *args], stdin=stdin,
                   env={"HOME": self.home, "KUBECONFIG": self.config})

    def ok(self, *args, stdin=None):
        got = self(*args, stdin=stdin)
        assert got.returncode == 0, f"kubectl {' '.join(args)}: {got.returncode}\n{got.stdout}\n{got.stderr}"
        return got.stdout
