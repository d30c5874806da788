"""What the command-line library says by itself, in Chinese: usage errors, the headings of `--help`.

click looks its texts up by their English wording (gettext); `edge/texts/click.tsv` has them under `click.…`, the
English as click has it. What is not there stays English.
"""

from __future__ import annotations

from functools import cache

from click import core, decorators, exceptions, formatting, parser, termui, types

from edge.catalogue import codes, language, text

_MODULES = (core, decorators, exceptions, formatting, parser, termui, types)


@cache
def _in_chinese() -> dict[str, str]:
    return {text(code, "en"): text(code, "zh") for code in codes("click.")}


def translate(message: str) -> str:
    """A text of click in the language of the technician."""
    return _in_chinese().get(message, message) if language() == "zh" else message


def translate_number(one: str, many: str, count: int) -> str:
    """The same for a text that depends on a number."""
    return translate(one if count == 1 else many)


def speak() -> None:
    """Have click ask here for its texts, from now on."""
    for module in _MODULES:
        for name, function in (("_", translate), ("ngettext", translate_number)):
            if hasattr(module, name):
                setattr(module, name, function)
