"""Time the workloads and print median, spread and budget: `python -m benchmarks [NAME ...] [--long | --methods]`.

`python -m benchmarks race`, `scaling` and `gpu` are commands of their own.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import lab
from benchmarks.gpu.command import main as gpu
from benchmarks.methods import write_methods
from benchmarks.race.command import main as race
from benchmarks.scaling.command import main as scaling
from benchmarks.workloads import WORKLOADS

OUT = Path(__file__).resolve().parent / "out" / "results.json"
NAMES = [workload.name for workload in WORKLOADS]


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(NAMES), metavar="[NAME]...")
@click.option("--runs", default=9, show_default=True, type=click.IntRange(1), help="Timed runs of each short workload.")
@click.option("--long", "with_long", is_flag=True, help="Also the workloads that take minutes, one run each.")
@click.option("--methods", is_flag=True, help="Instead, time the methods of RLHF for the figure that shows it.")
def main(names: tuple[str, ...], runs: int, with_long: bool, methods: bool) -> None:
    """Time what the lab promises. Rounds are interleaved, so that a slow spell of the machine hits all alike."""
    if methods:
        with Progress() as progress:
            task = progress.add_task("methods", total=None)
            place = write_methods(_machine(), runs, lambda: progress.advance(task))
        click.echo(f"{place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place} is written")
        return
    chosen = [w for w in WORKLOADS if (w.name in names) or (not names and (with_long or not w.long))]
    seconds: dict[str, list[float]] = {workload.name: [] for workload in chosen}
    for workload in chosen:
        if not workload.long:
            workload.run()  # warm-up: caches, first calls
    for round_ in range(runs):
        for workload in chosen:
            if round_ == 0 or not workload.long:
                seconds[workload.name].append(workload.run())
    machine = _machine()
    table = Table("workload", "median", "min – max", "runs", "budget", "", title=", ".join(map(str, machine.values())))
    for workload in chosen:
        times = seconds[workload.name]
        median = statistics.median(times)
        within = "within" if median <= workload.budget else "OVER"
        spread = f"{_show(min(times))} – {_show(max(times))}"
        table.add_row(workload.about, _show(median), spread, str(len(times)), _show(workload.budget), within)
    Console().print(table)
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps({"machine": machine, "seconds": seconds}, indent=2) + "\n", encoding="utf-8")


def _machine() -> dict[str, object]:
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "lab": lab.__version__,
    }


def _show(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


if __name__ == "__main__":
    commands = {"race": race, "scaling": scaling, "gpu": gpu}
    if sys.argv[1:] and sys.argv[1] in commands:
        commands[sys.argv[1]](sys.argv[2:], prog_name=f"python -m benchmarks {sys.argv[1]}")
    else:
        main(prog_name="python -m benchmarks")
