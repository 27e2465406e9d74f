"""Every visible sentence, looked up when it is used: another language is another table."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

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

    >>> use_language("fr")
    Traceback (most recent call last):
    ...
    ValueError: language must be one of en, got 'fr'.
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
    try:
        return text.format(**values)
    except KeyError as missing:
        raise KeyError(f"the sentence {key!r} needs a value for {missing}") from None


def wording(text: str) -> str:
    """Return the sentence under the key ``text``; or ``text``, where that is a reader's own.

    >>> wording("rate"), wording("my own label")
    ('learning rate', 'my own label')
    """
    return _table.get(text, text)


class Worded:
    """A text of a dataclass, looked up whenever it is read, so that it follows the language.

    What is given to the constructor comes first: a key of the table, or a reader's own sentence.
    Where nothing is given the key is the object's name and the field's, as in "StepLR.when".
    """

    def __new__(cls) -> Any:
        """Stand where a text is expected, for type checkers too."""
        return super().__new__(cls)

    def __set_name__(self, owner: type, name: str) -> None:
        self._field = name

    def __get__(self, row: Any, owner: type | None = None) -> Any:
        if row is None:
            return ""  # the field's default
        given = vars(row)[self._field]
        is_word = given.isalpha()  # "length", say, is meant as it stands: such keys are no object's
        return given if is_word else _table.get(given or f"{row.name}.{self._field}", given)

    def __set__(self, row: Any, text: str) -> None:
        vars(row)[self._field] = text
