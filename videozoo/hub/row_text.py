"""A row as the manifest writes it."""

from collections.abc import Mapping
from typing import Any

import yaml

from videozoo.hub.schema import Checkpoint


def row_as_yaml(row: Checkpoint | Mapping[str, Any]) -> str:
    """One field a line, its parts beside it; ready to paste below ``checkpoints:``."""
    values = row.to_dict() if isinstance(row, Checkpoint) else dict(row)
    lines = []
    for field, value in values.items():
        if isinstance(value, list) and value:
            lines.append(f"  {field}:")
            lines += [f"  - {_flow(item)}" for item in value]
        else:
            lines.append(f"  {field}: {_flow(value)}")
    return "- " + "\n".join(lines).lstrip() + "\n"


def _flow(value: Any) -> str:
    """On one line, however long: a break there would hide what belongs together."""
    whole = r"\x85" not in repr(value)  # PyYAML would write this "next line" as a break, which is read as a blank
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**9, allow_unicode=whole)
    return text.removesuffix("\n").removesuffix("\n...")
