"""A reader's function as text that runs elsewhere: its source, and the imports that it needs."""

from __future__ import annotations

import ast
import builtins
import inspect
import symtable
import sys
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

Need = tuple[str, str]  # "from first import second"; with nothing first, "import second"


def source_of(function: Callable[..., Any]) -> tuple[str, set[Need]] | None:
    """Return the source of a function and what it imports, or None where it would not run alone.

    A lambda, a method, a partial, a function that uses variables around it: none of them does.
    """
    if not inspect.isfunction(function) or function.__code__.co_freevars:
        return None
    try:
        text = textwrap.dedent(inspect.getsource(function))
        (definition,) = ast.parse(text).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return None
    if not isinstance(definition, ast.FunctionDef) or definition.name != function.__name__:
        return None
    found = needs_of(text, inspect.unwrap(function).__globals__)
    return None if None in found.values() else (text, {need for need in found.values() if need})


def needs_of(text: str, scope: Mapping[str, Any]) -> dict[str, Need | None]:
    """Return each global name that a piece of code uses -> its import, None if it has none.

    >>> import math
    >>> needs_of("def area(r: float) -> float: return math.pi * r * r * factor", {"math": math})
    {'factor': None, 'math': ('', 'math')}
    """
    top = symtable.symtable(text, "source", "exec")
    own = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned()}
    used = {
        symbol.get_name()
        for table in _tables(top)
        for symbol in table.get_symbols()
        if symbol.is_referenced() and (table is top or symbol.is_global())
    }
    return {name: _import_of(name, scope) for name in sorted(used - own - set(dir(builtins)))}


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables(child)


def _import_of(name: str, scope: Mapping[str, Any]) -> Need | None:
    thing = scope.get(name)
    if isinstance(thing, ModuleType):
        parent, _, last = thing.__name__.rpartition(".")
        if last == name:
            return parent, name
        return "", f"{thing.__name__} as {name}"
    parts = str(getattr(thing, "__module__", "")).split(".")
    for end in range(1, len(parts) + 1):  # the shortest path is the one that is written
        module = ".".join(parts[:end])
        if module != "__main__" and getattr(sys.modules.get(module), name, None) is thing:
            return (module, name) if thing is not None else None
    return None


def import_lines(needs: Iterable[Need]) -> list[str]:
    """Write imports as a reader would: Python's own, others, the kit's, a blank line between.

    >>> import_lines({("torch.optim", "Optimizer"), ("torch.optim", "SGD"), ("", "math")})
    ['import math', '', 'from torch.optim import Optimizer, SGD']
    """
    names: dict[str, list[str]] = defaultdict(list)
    for module, name in sorted(needs):
        names[module].append(name)
    whole = [(name, f"import {name}") for name in names.pop("", [])]
    parts = [(module, f"from {module} import {', '.join(n)}") for module, n in names.items()]
    blocks: list[list[str]] = [[], [], []]
    for module, line in [*whole, *parts]:
        first = module.split()[0].split(".")[0]
        place = 0 if first in sys.stdlib_module_names else 2 if first == "lrsched_kit" else 1
        blocks[place].append(line)
    lines = [line for block in blocks if block for line in ["", *block]]
    return lines[1:]
