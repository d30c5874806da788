"""The one catalogue of texts that a technician sees, in Chinese and English.

`edge/texts/*.tsv`: code, zh, en; `{name}` is filled from the parameters, and of `⟦this|that⟧` that is said where a
parameter of this has no value. `protocol`, `drivers` and `config` raise errors with a code and parameters; here they
become words. An unknown code is a bug that a test finds; at run time the code itself is shown, since a missing text
must not hide a fault.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any, Protocol

LANGUAGES = ("zh", "en")
NO_VALUE = (None, "", "–")
"""What a parameter says where there is nothing to say."""
_CHOICE = re.compile(r"⟦([^|⟧]*)\|([^⟧]*)⟧")
_FIELD = re.compile(r"\{(\w+)\}")
_TEXTS = Path(__file__).parent / "texts"


class Coded(Protocol):
    """An error with a code and parameters."""

    code: str
    params: dict[str, Any]


@cache
def _catalogue() -> dict[str, tuple[str, str]]:
    texts: dict[str, tuple[str, str]] = {}
    for path in sorted(_TEXTS.glob("*.tsv")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                code, zh, en = line.split("\t")
                texts[code] = (zh.replace("\\n", "\n"), en.replace("\\n", "\n"))
    return texts


_language: str | None = None


def use_language(name: str | None) -> None:
    """Choose `zh` or `en` for this process; None: from the environment."""
    global _language
    _language = name


def language() -> str:
    """The chosen language, else Chinese where LC_ALL, LC_MESSAGES or LANG says `zh…`, else English."""
    if _language:
        return _language
    for name in ("HJ212_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(name)
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def text(code: str, lang: str | None = None, /, **params: Any) -> str:
    """The text of a code, filled."""
    pair = _catalogue().get(code)
    if pair is None:
        return code + "".join(f" {name}={value}" for name, value in params.items())
    template = pair[LANGUAGES.index(lang or language())]
    return _without_gaps(template, params).format(**params) if params else template


def codes(start: str) -> list[str]:
    """The codes that begin like this."""
    return [code for code in _catalogue() if code.startswith(start)]


def _without_gaps(template: str, params: dict[str, Any]) -> str:
    """The template with its choices made: what names a parameter without a value is not said."""

    def chosen(choice: re.Match[str]) -> str:
        fields = _FIELD.findall(choice[1])
        return choice[2] if any(params[name] in NO_VALUE for name in fields) else choice[1]

    return _CHOICE.sub(chosen, template)


def explain(error: Coded, lang: str | None = None) -> str:
    """An error of `protocol`, `drivers`, `config` or `edge` in words."""
    return text(error.code, lang, **error.params)
