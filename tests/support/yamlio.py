"""YAML out, in the subset Portcullis reads: no anchors, no folding, PEM as literal blocks."""
import yaml


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


def _text(dumper, value):
    style = "|" if "\n" in value else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def dumps(doc):
    return yaml.dump(doc, Dumper=_Dumper, sort_keys=False, width=100000, allow_unicode=True)


def write(path, doc):
    with open(path, "w", encoding="utf-8") as f:
        f.write(doc if isinstance(doc, str) else dumps(doc))
    return str(path)


def write_atomic(path, doc):
    """As an editor that renames, or a configuration tool, does it."""
    import os
    tmp = f"{path}.tmp~"
    write(tmp, doc)
    os.replace(tmp, path)
    return str(path)
