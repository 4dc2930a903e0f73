"""The record of an experiment: its schema, and how it is built, checked, joined, saved and loaded."""

from lab.trajectory.blocks import in_blocks
from lab.trajectory.derived import TableLogProb
from lab.trajectory.files import load, save
from lab.trajectory.joining import combine
from lab.trajectory.lazy import table_behind
from lab.trajectory.schema import FORMAT, RESERVED, SCHEMA, SCHEMA_VERSION, TERMS, Variable, assemble, validate
from lab.trajectory.words import find_word

__all__ = [
    "FORMAT",
    "RESERVED",
    "SCHEMA",
    "SCHEMA_VERSION",
    "TERMS",
    "TableLogProb",
    "Variable",
    "assemble",
    "combine",
    "find_word",
    "in_blocks",
    "load",
    "save",
    "table_behind",
    "validate",
]
