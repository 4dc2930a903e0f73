"""`python -m benchmarks race`: race, print, and write what the figure shows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from benchmarks.machine import describe, limit, measure
from benchmarks.race.cases import Case
from benchmarks.race.peers import IN_JAX, ROOT, Process, has_jax
from benchmarks.race.report import cost_table, memory_table, target_table
from benchmarks.race.running import measure_memory, race

FIGURE = "a_thousand_runs_for_the_price_of_one"
PLACE = ROOT / "figures" / "measured" / f"{FIGURE}.json"
TRIAL = ROOT / "benchmarks" / "out" / "race.json"
STEPS = {("A", 16384): 100, ("B", 256): 100, ("B", 1024): 50}  # 500 in all others
SIZES = {("A", "sgd"): (1, 32, 1024, 16384), ("A", "adam"): (1, 32, 1024, 16384), ("B", "adam"): (1, 32, 256, 1024),
         ("C", "sgd"): (1, 16)}  # fmt: skip
WORDS = (
    *IN_JAX, "cdpo", "robust", "exo", "discopop", "dpo_avg", "ipo_avg", "bco", "caldpo", "dpop", "dposhift", "chipo",
    "aot", "kto", "cpo", "slichf", "simpo", "alphapo", "orpo", "tpo", "unlikelihood",
)  # fmt: skip


def cases(only: tuple[str, ...], quick: bool) -> list[Case]:
    """List what is raced: all workloads, or some; quick ones have few steps and at most 32 runs."""
    found = [
        Case(workload, optimizer, runs, 10 if quick else STEPS.get((workload, runs), 500))
        for (workload, optimizer), sizes in SIZES.items()
        for runs in sizes
    ]
    found += [Case("D", "sgd", 4 if quick else 1024, 10 if quick else 20, word) for word in WORDS]
    return [case for case in found if case.workload in (only or "ABCD") and not (quick and case.runs > 32)]


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list("ABCD")), help="Some workloads; again for more.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1), help="Rounds in which all take turns.")
@click.option("--patience", default=8.0, show_default=True, help="Seconds after which a case gets no further round.")
@click.option("--jax", "jax_python", default=sys.executable, help="A Python that has JAX, if this one has not.")
@click.option("--quick", is_flag=True, help="Few runs and steps: whether all agree, not how fast they are.")
@click.option("--write", is_flag=True, help=f"Write figures/measured/{FIGURE}.json, which the figure shows.")
def main(only: tuple[str, ...], rounds: int, patience: float, jax_python: str, quick: bool, write: bool) -> None:
    """Race the lab against the plain PyTorch loop and against JAX."""
    if write and (only or quick):
        raise click.UsageError("--write is for a whole race; leave out --only and --quick, or --write")
    pythons = {"torch": sys.executable}
    if has_jax(jax_python):
        pythons["jax"] = jax_python
    elif write:
        raise click.UsageError("JAX is not there, and the figure shows it: pip install jax, or name a Python by --jax")
    else:
        click.echo("JAX is not there and does not take part: pip install jax, or name a Python that has it by --jax")
    console, chosen = Console(), cases(only, quick)
    machine = describe()
    cores = int(str(machine["cores"]))
    if "jax" in pythons:
        with Process(pythons["jax"], "jax", cores) as process:
            machine |= process.ask("versions", of=["jax", "jaxlib"])
    speeds = measure(cores)
    with console.status("") as status:
        results = race(chosen, pythons, cores, rounds, patience, lambda name: status.update(f"racing: {name}"))
        measured = [case for case in chosen if case.workload == "C"]
        memory = {case.name: measure_memory(case, results[case.name], pythons, cores) for case in measured}
    limits = {case.name: limit(case, speeds) for case in chosen}
    sizes = {case.name: 8 * case.numbers * case.runs * (case.steps + 1) for case in measured}
    console.print(cost_table(results, limits))
    console.print(memory_table(memory, sizes))
    console.print(target_table(results))
    written = {
        "machine": machine,
        "speeds": {name: float(f"{value:.4g}") for name, value in speeds.items()},
        "limits": {name: float(f"{value:.4g}") for name, value in limits.items()},
        "cases": results,
        "memory": {name: {"recordings": sizes[name], **peaks} for name, peaks in memory.items()},
    }
    place = PLACE if write else TRIAL
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place} is written")
