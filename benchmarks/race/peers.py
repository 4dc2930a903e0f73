"""Who races: the peers, the ways in which each may go, and the processes that they live in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.race.cases import Case

ROOT = Path(__file__).resolve().parents[2]
# What a process of JAX may use: the threads that it takes by itself, one thread, or every core as a device of its own.
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "torch": {},
    "jax": {},
    "jax, one thread": {"NPROC": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"},
    "jax, a device a core": {"XLA_FLAGS": "--xla_force_host_platform_device_count={cores}"},
}
JAX = tuple(name for name in SETTINGS if name.startswith("jax"))
PLAIN, RECORD, RECORDINGS = "plain loop", "lab", "lab, recordings computed"
NATURAL, BEST, REDUCED = "JAX", "JAX, best layout", "JAX, the lab's reduction"
PEERS = (PLAIN, NATURAL, BEST, REDUCED, RECORDINGS, RECORD)


@dataclass(frozen=True)
class Entrant:
    """A peer that goes one way in one process.

    Args:
        peer: One of `PEERS`.
        way: What its process is asked to prepare.
        process: One of `SETTINGS`.
    """

    peer: str
    way: str
    process: str


def entrants(case: Case, jax: bool) -> list[Entrant]:
    """Return who races in a case; a peer of several ways is judged by the fastest of them.

    Args:
        case: The case.
        jax: Whether JAX is there.
    """
    found = [Entrant(RECORDINGS, "recordings", "torch"), Entrant(RECORD, "record", "torch")]
    if case.objective == "dpo":
        found.insert(0, Entrant(PLAIN, "plain", "torch"))
    if not jax or case.objective not in IN_JAX:
        return found
    found.append(Entrant(NATURAL, "natural", "jax"))
    if case.workload == "B":
        found += [Entrant(BEST, way, process) for way in ("chunks of 16", "chunks of 64") for process in JAX]
    elif case.workload != "D":
        found += [Entrant(BEST, "dense", process) for process in JAX]
        found += [Entrant(REDUCED, "reduced", process) for process in JAX]
    return found


# Those whose loss takes a line or three: benchmarks/race/jax_natural.py.
IN_JAX = ("dpo", "ipo", "slic", "sft", "sppo", "nca", "apo_zero", "apo_down")


class Process:
    """A process that answers orders; to be used in a `with` block.

    Args:
        python: Its interpreter.
        setting: One of `SETTINGS`.
        cores: Cores that it may show as devices.
    """

    def __init__(self, python: str, setting: str, cores: int) -> None:
        extra = {name: value.format(cores=cores) for name, value in SETTINGS[setting].items()}
        self.name = setting
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.race.worker"],
            cwd=ROOT, env={**os.environ, **extra}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def ask(self, do: str, way: str = "", case: Case | None = None, runs: Sequence[int] = (), file: str = "",
            of: Sequence[str] = ()) -> dict[str, Any]:  # fmt: skip
        """Give an order and wait for the answer.

        Args:
            do: As in `benchmarks.race.worker.answer`.
            way: Which way.
            case: The case, to prepare it.
            runs: The runs to compare.
            file: Where their recordings go.
            of: Packages whose versions are asked for.

        Raises:
            RuntimeError: If the process cannot do it; the message is its own.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        order = {"do": do, "way": way, "runs": list(runs), "file": file, "of": list(of)}
        if case is not None:
            order["case"] = asdict(case)
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        said = json.loads(line) if line else {"error": "it ended; its last words stand above"}
        if "error" in said:
            raise RuntimeError(f"the process '{self.name}' could not {do} {way or 'that'}: {said['error']}")
        return said


def has_jax(python: str = sys.executable) -> bool:
    """Return whether an interpreter has JAX."""
    return subprocess.run([python, "-c", "import jax"], capture_output=True, check=False).returncode == 0
