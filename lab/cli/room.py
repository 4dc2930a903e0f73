"""Whether there is room for a record, asked before anything is computed."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from rich.text import Text

from lab.cli.errors import Mistake

if TYPE_CHECKING:
    from rich.console import Console

    from lab.experiments.experiment import Experiment


def check_room(experiment: Experiment, *, memory: float | None = None) -> str:
    """Refuse a line whose record neither memory nor disk holds: it would be told so late, or be killed.

    Args:
        experiment: What is to be run.
        memory: Bytes of memory that the record may take; None means half of what is free.

    Returns:
        What is to be said of the record before it is computed: nothing, if it fits into memory.

    Raises:
        Mistake: There is no room.
    """
    from lab.experiments.sizes import record_size
    from lab.space import RecordOnDisk, choose_place

    size = record_size(experiment)
    what = f"The record of this line ({size.runs} runs, {size.states} recorded states)"
    cure = "lower seeds or steps, or raise every"
    with warnings.catch_warnings(record=True, action="always", category=RecordOnDisk) as said:
        try:
            choose_place(size.bytes, what=what, cure=cure, memory=memory)
        except ValueError as error:
            raise Mistake(str(error)) from None
    return str(said[0].message) if said else ""


def show_size(line: str, terminal: Console) -> None:
    """Print how large the record of a line will be, and how much memory and disk is free.

    Raises:
        ValueError: The line is not valid.
    """
    from lab.experiments.sizes import record_size
    from lab.space import SHARE, cache_folder, free_disk, free_memory, gigabytes

    terminal.print(Text(f"record   {record_size(line)}"), soft_wrap=True)
    terminal.print(f"memory   {gigabytes(SHARE * free_memory())}, half of what is free; a larger record lies in files",
                   soft_wrap=True)  # fmt: skip
    terminal.print(Text(f"disk     {gigabytes(free_disk(cache_folder()))} free for files in {cache_folder()}"),
                   soft_wrap=True)  # fmt: skip
