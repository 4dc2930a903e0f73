"""What is timed, and the budget of each on two cores."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lab
from benchmarks.browser import slider_to_picture

ROOT = Path(__file__).resolve().parent.parent
SLIDES = [f"{0.05 * 1.02**number:.6g}" for number in range(200)]  # values of a slider, each drawn once


@dataclass(frozen=True)
class Workload:
    """One thing to time.

    Args:
        name: short name.
        about: what it does, in a few words.
        budget: seconds that it may take.
        run: does it once and returns the seconds that count.
        long: whether it takes minutes and is left out unless asked for.
    """

    name: str
    about: str
    budget: float
    run: Callable[[], float]
    long: bool = False


def _line(line: str) -> Callable[[], float]:
    def once() -> float:
        start = time.perf_counter()
        lab.run(line)
        return time.perf_counter() - start

    return once


def _slider(line: str, key: str = "beta", values: Sequence[str] = SLIDES) -> Callable[[], float]:
    """Time one move of a slider, from the page's message to the pictures; each call takes a value not drawn before."""
    state: list[Any] = []
    moves = iter(values)

    def once() -> float:
        from lab.explorer.training.scene import TrainingScene
        from lab.explorer.widget import shown

        scene = TrainingScene()
        if not state:
            state.append(scene.begin(line))
            scene.show(state[0])
        start = time.perf_counter()
        moved = scene.change(state[0], key, next(moves))
        shown(scene.controls(moved), scene.show(moved))
        return time.perf_counter() - start

    return once


def _process(*arguments: str, fresh_cache: bool = False) -> Callable[[], float]:
    """Time a whole Python process; with an empty cache where what it computed before must not count."""

    def once() -> float:
        with tempfile.TemporaryDirectory() as folder:
            environment = dict(os.environ)
            if fresh_cache:
                environment["DPOLAB_CACHE"] = folder
            command = [sys.executable, *(part.replace("{tmp}", folder) for part in arguments)]
            start = time.perf_counter()
            subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
            return time.perf_counter() - start

    return once


TABLE = "tabular s1 dpo beta=0.1 sgd lr=1 steps=500"
NETWORK = "mlp s1 dpo beta=0.1 adam lr=1e-3 steps=500"

WORKLOADS = (
    Workload("import", "a fresh Python imports lab", 2.0, _process("-c", "import lab")),
    Workload("first_result", "a fresh Python imports lab and runs one table", 3.0,
             _process("-c", f"import lab; lab.run('{TABLE} seeds=1')")),
    Workload("table_1", f"{TABLE} seeds=1", 0.020, _line(f"{TABLE} seeds=1")),
    Workload("table_1024", f"{TABLE} seeds=1024", 1.0, _line(f"{TABLE} seeds=1024")),
    Workload("mlp_24", f"{NETWORK} seeds=24, every gradient recorded", 1.5, _line(f"{NETWORK} seeds=24")),
    Workload("slider_table", "a slider moves in the explorer: table, 24 seeds", 0.150, _slider(f"{TABLE} seeds=24")),
    Workload("slider_mlp_1", "a slider moves in the explorer: MLP, 1 seed", 0.500, _slider(f"{NETWORK} seeds=1")),
    Workload("slider_mlp_24", "a slider moves in the explorer: MLP, 24 seeds", 1.5, _slider(f"{NETWORK} seeds=24")),
    Workload("cursor", "the cursor moves in the explorer: MLP, 24 seeds", 0.150,
             _slider(f"{NETWORK} seeds=24", "cursor", [str(10 * number) for number in range(51)])),
    Workload("browser_table", "from a key on a slider to the picture in JupyterLab: table, 24 seeds", 0.400,
             slider_to_picture(f"{TABLE} seeds=24"), long=True),
    Workload("browser_mlp_24", "from a key on a slider to the picture in JupyterLab: MLP, 24 seeds", 2.0,
             slider_to_picture(f"{NETWORK} seeds=24"), long=True),
    Workload("figures_quick", "python -m figures --quick, empty cache", 400.0,
             _process("-m", "figures", "--quick", "--force", "--out", "{tmp}/out", fresh_cache=True), long=True),
    Workload("figures", "python -m figures, empty cache", 1200.0,
             _process("-m", "figures", "--force", "--out", "{tmp}/out", fresh_cache=True), long=True),
    Workload("test", "python -m pytest -n 2", 300.0, _process("-m", "pytest", "-n", "2", "-q"), long=True),
)  # fmt: skip
