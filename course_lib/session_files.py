"""Files that a panel writes under a name of the reader's choice."""

import json
import os
import re
from pathlib import Path


def named(folder, name, suffix):
    """Return the path of a file in a folder, for a name that a reader has typed.

    Raises:
        ValueError: unless the name is of 1 to 60 letters, digits, spaces, - and _, so that it can
            lead out of no folder.
    """
    if not re.fullmatch(r"[\w -]{1,60}", name):
        raise ValueError(f"the name {name!r} must be letters, digits, spaces, - and _ only.")
    return Path(folder) / f"{name}{suffix}"


def write_json(path, content):
    """Write JSON values, an older file being replaced in one step; missing folders are made."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
