"""The table of reasons, from authn/reasons.h."""
import functools
import os
import re

from .paths import TOP


@functools.cache
def words():
    with open(os.path.join(TOP, "authn", "reasons.h"), encoding="utf-8") as f:
        return re.findall(r"^\tX\((\w+)\)", f.read(), re.M)
