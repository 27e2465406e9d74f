"""Every sentence stands in a table, and every table has all of them."""

import ast
import re
import string
from pathlib import Path

import pytest

import lrsched_kit
from lrsched_kit import words
from lrsched_kit.schedules.params import Param
from lrsched_kit.words import LANGUAGES, Worded, en, say, use_language

SOURCES = sorted(Path(lrsched_kit.__file__).parent.rglob("*.py"))
ENGLISH = LANGUAGES["en"]


def fields(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@pytest.fixture
def pirate(monkeypatch):
    """A language with a few sentences of its own; the rest is English."""
    table = {**ENGLISH, "run": "Set sail", "StepLR.when": "When the wind drops."}
    monkeypatch.setattr(words, "LANGUAGES", {**LANGUAGES, "pirate": table})
    use_language("pirate")
    yield table
    use_language("en")


def faults(table):
    """The keys that a table lacks, has too many, or fills in with other values than English."""
    shared = [key for key in table.keys() & ENGLISH.keys() if not key.endswith(".formula")]
    other = {key for key in shared if fields(table[key]) != fields(ENGLISH[key])}
    return (table.keys() ^ ENGLISH.keys()) | other  # formulas are LaTeX, taken as they are


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_table_says_what_english_says_with_the_same_values(language):
    assert faults(LANGUAGES[language]) == set()


def test_a_fault_of_a_table_is_named():
    assert faults({key: ENGLISH[key] for key in ENGLISH if key != "run"}) == {"run"}
    assert faults({**ENGLISH, "walk": "Walk"}) == {"walk"}
    assert faults({**ENGLISH, "diverged_label": "{label} ({epochs})"}) == {"diverged_label"}


def test_no_two_rooms_use_one_key_for_two_sentences():
    parts = [part.WORDS for part in vars(en).values() if hasattr(part, "WORDS")]
    assert sum(map(len, parts)) == len(ENGLISH)


def test_a_lab_speaks_the_language_in_use(pirate):
    lab = lrsched_kit.ScheduleLab("StepLR", epochs=1, seeds=1)
    try:
        assert lab.controls["run"].description == "Set sail"
    finally:
        lab.close()


def test_what_belongs_to_a_row_follows_the_language(pirate):
    row = lrsched_kit.get_schedule("StepLR")
    assert row.when == "When the wind drops."
    use_language("en")
    assert row.when == ENGLISH["StepLR.when"]


def said_in_the_code():
    """The calls that say a sentence."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("say", "Reason"):
                yield node


def named_in_full():
    """The keys that the code names in full, with the values that it gives them."""
    for call in said_in_the_code():
        if isinstance(call.args[0], ast.Constant):
            yield call.args[0].value, call.keywords


def test_each_sentence_that_the_code_says_stands_in_the_table():
    assert {key for key, _ in named_in_full()} - ENGLISH.keys() == set()


def test_the_code_gives_each_sentence_the_values_that_it_has_places_for():
    wrong = []
    for key, given in named_in_full():
        places, names = fields(ENGLISH[key]), {keyword.arg for keyword in given}
        if names - {None} - places or (None not in names and places != names):  # None: **values
            wrong.append(key)
    assert wrong == []


def test_no_sentence_is_left_over():
    plain = {key for key, _ in named_in_full()}
    text = "\n".join(
        p.read_text(encoding="utf-8") for p in SOURCES if p.parent != Path(en.__file__).parent
    )
    patterns = []
    for call in said_in_the_code():
        for made in ast.walk(call.args[0]):
            if isinstance(made, ast.JoinedStr):
                parts = [
                    re.escape(v.value) if isinstance(v, ast.Constant) else ".*" for v in made.values
                ]
                patterns.append("".join(parts))

    def used(key):
        name, _, field = key.partition(".")
        belongs = bool(field) and (name in text)
        return (
            key in plain
            or f'"{key}"' in text
            or belongs
            or any(re.fullmatch(p, key) for p in patterns)
        )

    assert [key for key in ENGLISH if not used(key)] == []


def test_an_object_without_its_sentence_in_the_table_says_nothing():
    class Row:
        name: str = "nobody"
        when: str = Worded()

        def __init__(self):
            self.when = ""

    assert Row().when == ""


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("run_help", ENGLISH["run_help"]),
        ("my own words", "my own words"),
        ("length", "length"),  # a word that happens to be a key is meant as it stands
    ],
)
def test_an_object_may_bring_a_key_or_a_sentence_of_its_own(text, read):
    assert Param("share", 0.5, 0.0, 1.0, help=text).help == read


def test_a_key_that_no_table_has_is_an_error():
    with pytest.raises(KeyError, match="no_such_key"):
        say("no_such_key")


@pytest.mark.parametrize("values", [{}, {"label": "StepLR"}, {"label": "StepLR", "epochs": 3}])
def test_a_value_that_is_missing_is_named_with_its_sentence(values):
    missing = "epoch" if values else "label"
    with pytest.raises(KeyError, match=f"'diverged_label' needs a value for '{missing}'"):
        say("diverged_label", **values)
