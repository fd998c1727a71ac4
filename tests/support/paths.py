"""Where the tree, the build and the cached components are."""
import os
import shutil

TOP = os.path.abspath(os.environ.get("top_srcdir")
                      or os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.path.abspath(os.environ.get("top_builddir") or os.path.join(TOP, "build"))
CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "portcullis")


def program(name):
    """One of our programs in the build under test."""
    path = os.path.join(BUILD, name)
    assert os.access(path, os.X_OK), f"{path} is not built"
    return path


def tool(name):
    """A program of the system, the sbin folders included."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert path, f"{name} is not installed: scripts/ensure-packages e2e"
    return path
