"""A look at this installation: what is there, what is missing and how to mend it, and a test on exact numbers."""

from __future__ import annotations

import importlib
import importlib.metadata
import math
import os
import platform
import shutil
import sys
import tempfile
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

STATUSES = ("ok", "warn", "fail")
INSTALL = "run `make test` in the project's folder, or `pip install -e . -c constraints.txt` there"


@dataclass(frozen=True)
class Diagnosis:
    """One line of the report.

    Args:
        status: "ok", "warn" (works, with a limit) or "fail" (does not work).
        name: What was looked at.
        finding: What was found.
        cure: What to do about it; empty when it is ok.

    Raises:
        ValueError: The status is another word, or a complaint has no cure.
    """

    status: str
    name: str
    finding: str
    cure: str = ""

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise ValueError(f"The status is {self.status!r}; allowed are {', '.join(STATUSES)}. Use one of them.")
        if self.status != "ok" and not self.cure:
            raise ValueError(f"The diagnosis of {self.name} has no cure; a complaint needs one. Say what to do.")


def examine() -> Iterator[Diagnosis]:
    """Look at one thing after the other.

    Yields:
        A diagnosis for each; a check that breaks is itself a diagnosis, and the others go on.
    """
    for name, check in _CHECKS.items():
        try:
            with warnings.catch_warnings(action="ignore"):
                found = list(check())
        # Whatever is wrong with an installation must end as a line of the report.
        except Exception as problem:
            found = [Diagnosis("fail", name, f"{type(problem).__name__}: {problem}", INSTALL)]
        yield from found


def _python() -> Iterator[Diagnosis]:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"
    yield Diagnosis("ok", "python", found)


def _packages() -> Iterator[Diagnosis]:
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("dpolab") or []
    except importlib.metadata.PackageNotFoundError:
        project = Path(__file__).parents[1] / "pyproject.toml"
        lines = (
            tomllib.loads(project.read_text(encoding="utf-8"))["project"]["dependencies"] if project.exists() else []
        )
        yield Diagnosis(
            "warn", "dpolab", f"not installed in this Python, used from {Path(__file__).parents[1]}", INSTALL
        )
    fitting = []
    for requirement in map(Requirement, lines):
        if requirement.marker and not requirement.marker.evaluate():
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Diagnosis("fail", requirement.name, f"missing; needed is {requirement.specifier}", INSTALL)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            fitting.append(f"{requirement.name} {version}")
        else:
            yield Diagnosis("fail", requirement.name, f"{version}; needed is {requirement.specifier}", INSTALL)
    if fitting:
        yield Diagnosis("ok", "packages", ", ".join(fitting))


def _cores() -> Iterator[Diagnosis]:
    import torch

    # Older Pythons and other systems do not know which cores this process may use.
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    found = f"{allowed} core{'s' * (allowed > 1)}, torch uses {threads} thread{'s' * (threads > 1)}"
    if threads > allowed:
        yield Diagnosis("warn", "cores", f"{found}: more than there are", f"set OMP_NUM_THREADS={allowed}")
    else:
        yield Diagnosis("ok", "cores", f"{found}; chunks of runs share them, each operation runs on one")


def _torch() -> Iterator[Diagnosis]:
    import torch

    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    if getattr(torch.version, "hip", None):
        build = f"ROCm {torch.version.hip}"
    yield Diagnosis("ok", "torch", f"{torch.__version__}, built for {build}")


def _gpu() -> Iterator[Diagnosis]:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        yield Diagnosis("ok", "GPU", f"{', '.join(names)}; used with --device cuda, the CPU otherwise")
    elif shutil.which("nvidia-smi"):
        yield Diagnosis(
            "warn",
            "GPU",
            "there seems to be one, but this torch cannot use it; everything runs on the CPU, which is enough",
            "only if you want it: install a CUDA build of torch that fits the driver (pytorch.org/get-started)",
        )
    else:
        yield Diagnosis("ok", "GPU", "none that torch can use; everything runs on the CPU, which is enough")


def _engine() -> Iterator[Diagnosis]:
    import torch

    from lab.training import graphs
    from lab.training.planning import without_kernels

    how = "`python -m lab plan LINE` says how a line is trained"
    if not torch.cuda.is_available():
        yield Diagnosis("ok", "engine", f"the plain path, on the processor, as there is no GPU for another; {how}")
        return
    if graphs.replays(torch.device("cuda", torch.cuda.current_device())):
        yield Diagnosis("ok", "engine", f"on a GPU, steps of whole parameters are captured as CUDA graphs; {how}")
    else:
        yield Diagnosis(
            "fail",
            "engine",
            "a captured step does not replay as it was",
            "train with --device cpu, and update the GPU's driver or torch",
        )
    missing = without_kernels()
    if missing:
        yield Diagnosis("ok", "kernels", f"tables take the plain path on a GPU: {missing}")
    else:
        version = importlib.metadata.version("triton")
        yield Diagnosis(
            "ok", "kernels", f"tables under losses of the margin take a kernel of Triton {version} on a GPU"
        )


def _cache() -> Iterator[Diagnosis]:
    from lab import store

    folder = store.folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-"):
            pass
    except OSError as problem:
        yield Diagnosis(
            "warn",
            "cache",
            f"{folder} cannot be written ({problem.strerror or problem}); reference policies are fitted each time",
            f"permit it, or set {store.VARIABLE} to a folder that can be written",
        )
    else:
        free = shutil.disk_usage(folder).free / 1e9
        cure = "" if free > 1 else "free some space; `python -m lab cache --clear` empties the cache"
        yield Diagnosis("warn" if cure else "ok", "cache", f"{store.size()}, {free:.1f} GB free", cure)


def _netcdf() -> Iterator[Diagnosis]:
    import lab

    record = lab.run("tabular s1 dpo sgd lr=1 steps=2 seeds=2 prompts=1")
    with tempfile.TemporaryDirectory() as folder:
        same = record.identical(lab.load(lab.save(record, Path(folder) / "record.nc")))
    if same:
        yield Diagnosis("ok", "netCDF", f"h5netcdf {importlib.metadata.version('h5netcdf')} saves and loads a record")
    else:
        yield Diagnosis("fail", "netCDF", "a saved record does not come back as it was", INSTALL)


def _notebooks() -> Iterator[Diagnosis]:
    found = []
    for name in ("jupyterlab", "ipykernel", "ipywidgets", "jupyterlab_widgets", "anywidget"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            yield Diagnosis("warn", "notebooks", f"{name} is missing: notebooks will lack it", INSTALL)
    manager = Path(sys.prefix) / "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager"
    if not manager.exists():
        yield Diagnosis(
            "warn",
            "notebooks",
            f"JupyterLab's widget extension is not in {sys.prefix}: sliders will show as text",
            "`pip install --force-reinstall jupyterlab_widgets` in this Python, and start JupyterLab from it",
        )
    elif len(found) == 5:
        yield Diagnosis("ok", "notebooks", ", ".join(found))


def _exact_numbers() -> Iterator[Diagnosis]:
    started = time.perf_counter()
    wrong = [text for expected, found, within, text in _oracles() if not abs(found - expected) <= within]
    took = time.perf_counter() - started
    if wrong:
        yield Diagnosis("fail", "self-test", "; ".join(wrong), f"{INSTALL}; if it stays, please report these numbers")
    else:
        yield Diagnosis("ok", "self-test", f"losses, slopes and a run of 1000 steps agree with theory ({took:.1f} s)")


def _oracles() -> Iterator[tuple[float, float, float, str]]:
    """Yield expected, found, tolerance and a sentence, for numbers known beforehand."""
    import torch

    import lab
    from lab.objectives import PairLogProbs

    def pairs(chosen: list[float], rejected: list[float], *reference: list[float]) -> PairLogProbs:
        columns = (chosen, rejected, *(reference or ([0.0], [0.0])))
        return PairLogProbs(*(torch.tensor([column], dtype=torch.float64) for column in columns))

    six = pairs([6.0], [0.0])
    four = pairs([-2, -3.1, -1.4, -2.5], [-3.5, -2, -2.8, -1.9], [-2.2, -3, -1.6, -2.4], [-3.2, -2.3, -2.6, -2.1])
    # Loss and slope at a log-ratio margin of 6, and the mean loss of four pairs, all at beta = 0.1.
    for objective, loss, slope, mean in (
        (lab.DPO(0.1), 0.437488, -0.035434, 0.690853),
        (lab.SLiC(0.1), 0.4, -0.1, None),
        (lab.IPO(0.1), 1.0, 2.0, 24.665),
    ):
        name = type(objective).__name__
        found = float(objective.loss(six)), float(objective.response_weights(six)[0])
        yield loss, found[0], 1e-6, f"{name} loss is {found[0]:.6f}, should be {loss}"
        yield slope, found[1], 1e-6, f"{name} slope is {found[1]:.6f}, should be {slope}"
        if mean is not None:
            average = float(objective.loss(four).mean())
            yield mean, average, 1e-6, f"{name} mean loss is {average:.6f}, should be {mean}"
    # One pair in a table under gradient flow: m + exp(m) = 1 + 2 beta^2 t, which steps of size lr meet to order lr.
    beta, lr, steps = 0.1, 1.0, 1000
    line = f"tabular s1 dpo beta={beta} sgd lr={lr} steps={steps} seeds=1 prompts=1 keep=none every={steps}"
    margin = float(lab.metrics.margin(lab.run(line)).isel(step=-1).squeeze())
    law, met = 1 + 2 * beta**2 * lr * steps, margin + math.exp(margin)
    yield law, met, 0.01 * law, f"the one-pair law gives {met:.3f}, should be {law:.3f}"


_CHECKS: dict[str, Callable[[], Iterator[Diagnosis]]] = {
    "python": _python,
    "packages": _packages,
    "cores": _cores,
    "torch": _torch,
    "GPU": _gpu,
    "engine": _engine,
    "cache": _cache,
    "netCDF": _netcdf,
    "notebooks": _notebooks,
    "self-test": _exact_numbers,
}
