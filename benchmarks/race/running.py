"""The race itself: every peer is compared first, then all are timed in turns."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.race.cases import Case, disagreement
from benchmarks.race.peers import JAX, PEERS, PLAIN, RECORDINGS, Entrant, Process, entrants

AGREE = 1e-9  # the largest relative difference of recordings
COMPARED = 3  # runs that are compared, and that the plain loop trains
BEHIND = 1.5  # times the fastest way of a peer from which on its other ways are out of the race
LEAST = 3  # rounds


def race(
    cases: Sequence[Case],
    pythons: Mapping[str, str],
    cores: int,
    rounds: int,
    patience: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Race all peers through all cases.

    Args:
        cases: The cases.
        pythons: Interpreter of "torch" and, where JAX takes part, of "jax".
        cores: Cores of this machine.
        rounds: Rounds of each case.
        patience: Seconds after which a case gets no further round, but for the first three; a peer that needs longer
            for one is timed once. A case of the catalogue, D, gets a quarter of them.
        say: Called with what is going on.

    Returns:
        Results by the name of the case, as `run_case` returns them.

    Raises:
        RuntimeError: If peers disagree or a process fails.
    """
    settings = ["torch", *(JAX if "jax" in pythons else ())]
    found = {}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        processes = {
            name: stack.enter_context(Process(pythons["torch" if name == "torch" else "jax"], name, cores))
            for name in settings
        }
        for case in cases:
            say(case.name)
            found[case.name] = run_case(
                case, processes, Path(folder), rounds, patience / 4 if case.workload == "D" else patience
            )
            for process in processes.values():
                process.ask("forget")
    return found


def run_case(
    case: Case, processes: Mapping[str, Process], folder: Path, rounds: int, patience: float
) -> dict[str, Any]:
    """Compare the peers in a case, then time them in turns.

    Args:
        case: The case.
        processes: A process for each setting.
        folder: For the recordings that are compared.
        rounds: Rounds.
        patience: Seconds after which there is no further round, but for the first three; a peer that needs longer for
            one is timed once.

    Returns:
        What the case is, the worst disagreement, and by peer: its fastest way and process, the seconds of every round,
        how many runs they are for, and the seconds of getting ready; and the medians of its other ways.

    Raises:
        RuntimeError: If the recordings of two peers differ by more than 1e-9.
    """
    runs = np.unique(np.linspace(0, case.runs - 1, COMPARED).astype(int)).tolist()
    racing = entrants(case, len(processes) > 1)
    ready, worst = {}, 0.0
    expected: dict[str, np.ndarray] = {}
    for entrant in racing:
        process = processes[entrant.process]
        ready[entrant] = process.ask("prepare", entrant.way, case=case, runs=runs)["seconds"]
        file = folder / "recordings.npz"
        process.ask("sample", entrant.way, runs=runs, file=str(file))
        with np.load(file) as stored:
            got = dict(stored)
        expected = expected or got
        difference = disagreement(got, expected)
        if not difference <= AGREE:
            raise RuntimeError(
                f"{entrant.peer} ({entrant.way}, {entrant.process}) differs by {difference:.3g} from {racing[0].peer} "
                f"in {case.name}; allowed is {AGREE:g}: they do not compute the same, and a race would mean nothing"
            )
        worst = max(worst, difference)
    seconds = _time(racing, processes, rounds, patience)
    peers = {}
    for peer in PEERS:
        # Those that stayed in the race to the end come first.
        ways = sorted(((-len(seconds[each]), statistics.median(seconds[each]), each.way, each.process, each)
                       for each in racing if each.peer == peer), key=lambda way: way[:2])  # fmt: skip
        if not ways:
            continue
        *_, way, process, winner = ways[0]
        peers[peer] = {
            "way": way,
            "process": process,
            "runs": len(runs) if peer == PLAIN else case.runs,
            "ready": round(ready[winner], 3),
            "seconds": [float(f"{each:.4g}") for each in seconds[winner]],
            "others": {f"{way}, {process}": float(f"{median:.4g}") for _, median, way, process, _ in ways[1:]},
        }
    return {
        "workload": case.workload, "optimizer": case.optimizer, "objective": case.objective,
        "runs": case.runs, "steps": case.steps, "numbers": case.numbers,
        "difference": float(f"{worst:.2g}"), "peers": peers,
    }  # fmt: skip


def measure_memory(case: Case, result: Mapping[str, Any], pythons: Mapping[str, str], cores: int) -> dict[str, int]:
    """Measure the peak memory of each peer's fastest way in a case, each in a fresh process.

    Args:
        case: The case.
        result: What `run_case` returned of it.
        pythons: Interpreters, as for `race`.
        cores: Cores of this machine.

    Returns:
        Bytes by peer, above what its process held when it was ready; not for the plain loop, which trains a few runs.
    """
    found = {}
    for peer, each in result["peers"].items():
        if peer == PLAIN:
            continue
        python = pythons["torch" if each["process"] == "torch" else "jax"]
        with Process(python, each["process"], cores) as process:
            process.ask("prepare", each["way"], case=case)
            found[peer] = process.ask("memory", each["way"])["bytes"]
    return found


def microseconds(result: Mapping[str, Any], peer: str) -> list[float]:
    """Return what a run and step cost a peer in every round of a case."""
    given = result["peers"][peer]
    return [1e6 * each / given["runs"] / result["steps"] for each in given["seconds"]]


def ratio(result: Mapping[str, Any], peer: str, base: str = RECORDINGS) -> float:
    """Return how many times longer a peer takes than another, medians of rounds in turns."""
    return statistics.median(microseconds(result, peer)) / statistics.median(microseconds(result, base))


def _time(
    racing: Sequence[Entrant], processes: Mapping[str, Process], rounds: int, patience: float
) -> dict[Entrant, list[float]]:
    seconds: dict[Entrant, list[float]] = {entrant: [] for entrant in racing}
    still, begun = list(racing), time.perf_counter()
    for number in range(rounds):
        if number >= LEAST and time.perf_counter() - begun > patience:
            break
        # Each round begins with another peer, so that none always follows the same one.
        for entrant in still[number % len(still) :] + still[: number % len(still)]:
            seconds[entrant].append(processes[entrant.process].ask("time", entrant.way)["seconds"])
        if number == 0:
            best = {peer: min(seconds[each][0] for each in racing if each.peer == peer) for peer in
                    {each.peer for each in racing}}  # fmt: skip
            still = [each for each in racing if seconds[each][0] <= min(patience, BEHIND * best[each.peer])]
            if not still:
                break
    return seconds
