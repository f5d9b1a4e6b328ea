"""Texts with `{{names}}` in them, and how a call's values come into them. Pure.

`{{name}}`, with white space inside the braces or without, stands for a value; `\\{{` for two braces. There is
nothing else: no expressions, no defaults. Values are put in as they are and not looked at again, so that what
somebody outside wrote into a value can never read another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MAX_VARIABLES = 64
MAX_VALUE_BYTES = 4096

_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,63}"
_PART = re.compile(rf"(\\\{{\{{)|\{{\{{[ \t]*({_NAME})[ \t]*\}}\}}|(\{{\{{)")


def variables(template: str) -> list[str]:
    """The names in a template, each once, in order.

    Raises:
        ValueError: two braces are no variable; says where.
    """
    names: dict[str, None] = {}
    for part in _PART.finditer(template):
        if part[3]:
            line = template.count("\n", 0, part.start()) + 1
            raise ValueError(
                f"line {line}: {{{{ must begin a variable, {{{{name}}}} with letters, digits and _, "
                "or be written \\{{"
            )
        if part[2]:
            names[part[2]] = None
    if len(names) > MAX_VARIABLES:
        raise ValueError(f"must have at most {MAX_VARIABLES} variables, not {len(names)}")
    return list(names)


def fill(template: str, values: Mapping[str, str]) -> str:
    """The text: every variable of a template that `variables` has accepted replaced by its value."""
    return _PART.sub(lambda part: "{{" if part[1] else values[part[2]], template)


def violations(names: set[str], values: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with a call's values for these variables, by field: `variables.name`."""
    found = {f"variables.{name}": "is missing: the agent asks for it" for name in names - values.keys()}
    for name, value in values.items():
        if name not in names:
            # A name that is no variable's may be anything: it is not repeated.
            shown = f".{name}" if re.fullmatch(_NAME, name) else ""
            found[f"variables{shown}"] = "the agent has no such variable"
        elif why := _unfit(value):
            found[f"variables.{name}"] = why
    return dict(sorted(found.items()))


def _unfit(value: str) -> str:
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return "must be valid Unicode: it holds half of a surrogate pair"
    if size > MAX_VALUE_BYTES:
        return f"must be at most {MAX_VALUE_BYTES} bytes of UTF-8, not {size}"
    if "\0" in value:
        return "must not hold the character U+0000"
    return ""
