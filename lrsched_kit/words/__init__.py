"""Every visible sentence, looked up when it is used: another language is another table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from . import en
from .errors import nearest

LANGUAGES: Mapping[str, Mapping[str, str]] = MappingProxyType({"en": en.TABLE})
"""The tables: language -> key -> sentence, with names in braces for what is filled in."""

_table = LANGUAGES["en"]


def use_language(language: str) -> None:
    """Let labs, pictures, tables and verdicts speak another language from now on.

    Messages of exceptions stay English.

    Args:
        language: a key of `LANGUAGES`.

    Raises:
        ValueError: for a language that has no table.

    >>> use_language("english")
    Traceback (most recent call last):
    ...
    ValueError: language must be one of en, got 'english' (did you mean 'en'?).
    """
    global _table
    if language not in LANGUAGES:
        hint = nearest(str(language), LANGUAGES)
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)}, got {language!r}{hint}.")
    _table = LANGUAGES[language]


def say(key: str, /, **values: object) -> str:
    """Return a sentence of the language in use, with ``values`` filled in.

    >>> say("diverged_label", label="StepLR", epoch=3)
    'StepLR (diverged at epoch 3)'
    """
    text = _table[key]
    return text.format(**values) if values else text


def said(key: str, otherwise: str) -> str:
    """Return the sentence for a key, or, for a reader's own row or exhibit, what it says itself."""
    return _table.get(key, otherwise)
