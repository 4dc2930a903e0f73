"""`python -m benchmarks gpu`: time the GPU against its limit, or show without one that all is ready."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import click
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.gpu.bounds import Card, limit, network_bound, table_bound
from benchmarks.gpu.workloads import SIZES, networks, rehearse, tables
from benchmarks.machine import describe
from benchmarks.race.cases import Case
from benchmarks.race.peers import ROOT

PLACE = ROOT / "benchmarks" / "gpu.json"
TRIAL = ROOT / "benchmarks" / "out" / "gpu.json"
TINY = {"A": Case("A", "sgd", 100, 20), "B": Case("B", "adam", 4, 3)}


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(SIZES)), help="One of the workloads.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(5), help="Timed trainings of each.")
@click.option("--runs", type=click.IntRange(1), help="Fewer runs, for a smaller GPU.")
@click.option("--write", is_flag=True, help="Write benchmarks/gpu.json, to be kept.")
def main(only: tuple[str, ...], rounds: int, runs: int | None, write: bool) -> None:
    """Train a million tables and thousands of networks on the GPU, with everything recorded at every step."""
    if write and (only or runs):
        raise click.UsageError("--write is for both workloads in full; leave out --only and --runs, or --write")
    if not torch.cuda.is_available():
        if write:
            raise click.UsageError("torch sees no GPU, and --write keeps what was measured on one")
        click.echo(f"Torch sees no GPU, so that nothing was timed; {_rehearsal()}.")
        return
    card = Card.of(torch.cuda.get_device_properties(0))
    results = {}
    for name in only or SIZES:
        optimizer, size, steps = SIZES[name]
        case = Case(name, optimizer, runs or size, steps)
        results[case.name] = measure(case, card, rounds)
    Console().print(_table(card, results))
    place = PLACE if write else TRIAL
    place.parent.mkdir(exist_ok=True)
    machine = {**describe(), "gpu": card.name, "cuda": torch.version.cuda}
    place.write_text(json.dumps({"machine": machine, "cases": results}, indent=1) + "\n", encoding="utf-8")
    click.echo(f"{place.relative_to(ROOT)} is written")


def measure(case: Case, card: Card, rounds: int) -> dict[str, Any]:
    """Time a case by the device's own events, after one training that compiles and takes the memory."""
    train = (tables if case.workload == "A" else networks)(case, "cuda")
    written = train()
    seconds = [_time(train) for _ in range(rounds)]
    bound = table_bound(card, case) if case.workload == "A" else network_bound(card, case, written)
    by, least = limit(bound)
    return {
        "runs": case.runs,
        "steps": case.steps,
        "seconds": statistics.median(seconds),
        "spread": [min(seconds), max(seconds)],
        "bytes": written,
        "bound": bound,
        "limited_by": by,
        "share": least / statistics.median(seconds),
    }


def _time(train: Callable[[], int]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    train()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3


def _rehearsal() -> str:
    """Train both workloads small on the processor, the tables by the kernel if it can be interpreted."""
    networks(TINY["B"], "cpu")()
    if find_spec("triton") is None:
        tables(TINY["A"], "cpu")()
        return "both workloads run on the processor, and `make kernels` installs Triton, which interprets the kernel"
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported, which nothing has done before
    apart = rehearse(TINY["A"])
    if not apart < 1e-9:
        raise click.ClickException(f"the kernel as Triton interprets it is {apart:.1g} away from plain torch")
    return f"both workloads run on the processor, and the kernel as Triton interprets it agrees to {apart:.0e}"


def _table(card: Card, results: dict[str, Any]) -> Table:
    table = Table("case", "median", "min – max", "written", "bound", "by", "share of the bound", title=card.name)
    for name, found in results.items():
        low, high = found["spread"]
        least = found["bound"][found["limited_by"]]
        table.add_row(
            name, f"{1e3 * found['seconds']:.1f} ms", f"{1e3 * low:.1f} – {1e3 * high:.1f} ms",
            f"{found['bytes'] / 1e9:.1f} GB", f"{1e3 * least:.1f} ms", found["limited_by"], f"{found['share']:.0%}",
        )  # fmt: skip
    return table
