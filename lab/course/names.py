"""Which names a piece of Python uses and which it binds, read from its source and never by running it."""

from __future__ import annotations

import ast
import builtins
import symtable

BUILT_IN = frozenset(dir(builtins)) | {"__name__", "__file__"}
EVERYTHING = "*"  # what `from x import *` binds


def used(source: str) -> set[str]:
    """Collect the global names that a source reads, inside its functions and classes too.

    Args:
        source: Python source.

    Returns:
        The names, built-in ones left out.

    Raises:
        SyntaxError: It is not Python.
    """
    top = symtable.symtable(source, "<cell>", "exec")
    found = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_referenced()}
    waiting = list(top.get_children())
    while waiting:
        table = waiting.pop()
        found |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
        waiting += table.get_children()
    return found - BUILT_IN


def bound(source: str) -> set[str]:
    """Collect the names that a source binds at its top level.

    Args:
        source: Python source.

    Returns:
        Assigned, imported and defined names; also those whose items or attributes it assigns.

    Raises:
        SyntaxError: It is not Python.
    """
    tree = ast.parse(source)
    table = symtable.symtable(source, "<cell>", "exec")
    found = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            base: ast.expr = node
            while isinstance(base, ast.Subscript | ast.Attribute):
                base = base.value
            if isinstance(base, ast.Name):
                found.add(base.id)
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            found.add(EVERYTHING)
    return found
