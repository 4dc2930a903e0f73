"""The rooms of the house and what each may import, read from the source of every module."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
LAB = ROOT / "lab"
LINE_CAP = 300

# Each room in its order, from the ground up: a module imports only those before it. The sets name the libraries.
COMPUTE = (
    "cores",
    "space",
    "threads",
    "randomness",
    "preferences",
    "rewards",
    "comparisons",
    "problems",
    "policies",
    "objectives",
    "optima",
    "gradients",
    "optimizers",
    "estimators",
    "references",
    "theory",
    "predictors",
    "training",
)
RECORD = ("cores", "space", "trajectory", "metrics", "intervals", "properties")
SHOW = ("plots",)
DESK = ("experiments", "store", "scoreboard", "claims", "peers", "explorer", "course", "doctor", "cli", "__main__")

SPEAKS = {
    **dict.fromkeys(COMPUTE, {"torch"}),
    **dict.fromkeys(RECORD, {"numpy", "xarray"}),
    "space": {"numpy", "platformdirs"},
    "plots": {"numpy", "xarray", "pandas", "matplotlib", "seaborn"},
    "cores": set(),
    "__init__": set(),
}
# Kernels are written in it, and imported only where one is launched.
SPEAKS["training"] = {"torch", "triton"}
# Small products of many runs: NumPy's take a third of the time of torch's (lab/policies/passes.py).
SPEAKS["policies"] = {"torch", "numpy"}
# Two modules of the record room need one more library, for one duty each.
SPEAKS["trajectory"] = {"numpy", "xarray", "h5netcdf", "h5py"}
SPEAKS["intervals"] = {"numpy", "xarray", "scipy"}

HOMELESS = {"util", "utils", "utilities", "helper", "helpers", "common", "misc", "shared", "tools"}


class Import(NamedTuple):
    """One imported name: `lab.metrics.prob` at line 7 of lab/plots/curves.py."""

    path: Path
    line: int
    name: str

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.name}"


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if ".ipynb_checkpoints" not in path.parts)


def room_module(path: Path) -> str:
    """The name in the import table: lab/policies/mlp.py belongs to `policies`."""
    first = path.relative_to(LAB).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> list[Import]:
    """Every import of a module, those inside functions and under TYPE_CHECKING too, as absolute names."""
    found = []
    package = (path if path.name == "__init__.py" else path).relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"), filename=str(path))):
        if isinstance(node, ast.Import):
            found += [Import(path, node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            home = ".".join([*above, *([node.module] if node.module else [])])
            found += [Import(path, node.lineno, f"{home}.{alias.name}") for alias in node.names]
    return found


def external(each: Import) -> str | None:
    """The library that an import names, or None for Python's own and for the project's."""
    top = each.name.split(".")[0]
    return None if top in sys.stdlib_module_names or top in {"lab", "figures", "benchmarks", "tests"} else top


def internal(each: Import) -> str | None:
    """The entry of the import table that an import names: `lab.metrics.prob` is `metrics`, `lab.run` the façade."""
    parts = each.name.split(".")
    if parts[0] != "lab":
        return None
    named = parts[1] if len(parts) > 1 else "__init__"
    return named if (LAB / named).is_dir() or (LAB / f"{named}.py").exists() else "__init__"


def allowed_inside(module: str) -> set[str]:
    everything = {*COMPUTE, *RECORD, *SHOW, *DESK, "__init__"}
    for room in (COMPUTE, RECORD, SHOW):
        if module in room:
            below = set(room[: room.index(module) + 1])
            if module == "training":
                below |= {"trajectory"}
            if room is SHOW:
                below |= set(RECORD)
            return below
    return everything


def listed(offences: list) -> str:
    return "\n" + "\n".join(map(str, offences))


def test_every_module_belongs_to_a_room():
    known = {*COMPUTE, *RECORD, *SHOW, *DESK, "__init__"}
    homeless = sorted({room_module(path) for path in modules(LAB)} - known)
    assert not homeless, f"{homeless} stand in no room of the import table; give each a room, or find its home"


def test_modules_import_only_their_own_room_downwards():
    wrong = []
    for path in modules(LAB):
        allowed = allowed_inside(room_module(path))
        wrong += [each for each in imports(path) if internal(each) is not None and internal(each) not in allowed]
    assert not wrong, listed(wrong)


def test_rooms_speak_their_own_libraries_only():
    wrong = []
    for path in modules(LAB):
        speaks = SPEAKS.get(room_module(path))
        if speaks is not None:
            wrong += [each for each in imports(path) if external(each) is not None and external(each) not in speaks]
    assert not wrong, listed(wrong)


def test_only_training_opens_the_door_to_the_record_room():
    doors = {room_module(path) for path in modules(LAB) for each in imports(path) if internal(each) == "trajectory"}
    assert doors & set(COMPUTE) <= {"training"}


def test_every_library_in_use_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {line.split(">")[0].strip() for line in project["dependencies"]}
    declared |= {"PIL", "IPython"}  # pillow's import name; part of jupyterlab
    declared |= {"triton"}  # comes with torch where there may be a GPU; without it no kernel is launched
    declared |= {"jax"}  # the race runs without it: benchmarks/README.md
    paths = [path for folder in ("lab", "figures", "benchmarks") for path in modules(ROOT / folder)]
    wrong = [each for path in paths for each in imports(path) if external(each) not in {None, *declared}]
    assert not wrong, listed(wrong)


def test_nothing_in_the_package_knows_figures_notebooks_tests_or_benchmarks():
    outside = {"figures", "notebooks", "tests", "benchmarks"}
    wrong = [each for path in modules(LAB) for each in imports(path) if each.name.split(".")[0] in outside]
    assert not wrong, listed(wrong)


def test_private_names_stay_in_their_module():
    paths = [path for folder in ("lab", "figures", "benchmarks") for path in modules(ROOT / folder)]
    wrong = [
        each
        for path in paths
        for each in imports(path)
        if each.name.startswith(("lab.", "figures.", "benchmarks."))
        and any(part.startswith("_") and not part.startswith("__") for part in each.name.split("."))
    ]
    assert not wrong, listed(wrong)


def test_no_module_is_a_drawer_for_homeless_functions():
    folders = ("lab", "figures", "benchmarks", "tests")
    names = [path for folder in folders for path in modules(ROOT / folder) if HOMELESS & {path.stem, path.parent.name}]
    assert not names, listed(names)


def test_no_module_outgrows_the_cap():
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for folder in ("lab", "figures", "benchmarks")
        for path in modules(ROOT / folder)
    }
    long = {name: count for name, count in lengths.items() if count > LINE_CAP}
    assert not long, f"over {LINE_CAP} lines, so it becomes a folder of the same name: {long}"


def in_fresh_python(code: str) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_importing_lab_loads_nothing_heavy():
    in_fresh_python(
        "import sys, lab\n"
        "heavy = {'torch', 'matplotlib', 'pandas', 'xarray', 'scipy', 'seaborn', 'IPython'} & set(sys.modules)\n"
        "assert not heavy - {'torch'}, heavy\n"
    )


def test_importing_lab_changes_nothing_global():
    in_fresh_python(
        "import os, random, warnings\n"
        "import matplotlib, numpy, torch\n"
        "def world():\n"
        "    return {\n"
        "        'rcParams': dict(matplotlib.rcParams), 'backend': matplotlib.get_backend(),\n"
        "        'dtype': torch.get_default_dtype(), 'device': torch.get_default_device(),\n"
        "        'threads': torch.get_num_threads(), 'interop': torch.get_num_interop_threads(),\n"
        "        'grad': torch.is_grad_enabled(), 'deterministic': torch.are_deterministic_algorithms_enabled(),\n"
        "        'torch seed': torch.random.get_rng_state().tolist(), 'print': repr(torch.tensor(1 / 3)),\n"
        "        'numpy seed': repr(numpy.random.get_state()), 'numpy errors': numpy.geterr(),\n"
        "        'numpy print': numpy.get_printoptions(), 'python seed': random.getstate(),\n"
        "        'environment': dict(os.environ), 'warnings': list(warnings.filters),\n"
        "    }\n"
        "before = world()\n"
        "import lab\n"
        "assert world() == before\n"
        "for name in lab.__all__:\n"
        "    getattr(lab, name)\n"
        "after = world()\n"
        "changed = {key for key in before if before[key] != after[key]}\n"
        "changed -= {'warnings'}  # libraries add their own filters when they are first imported\n"
        "assert not changed, changed\n"
    )


@pytest.mark.parametrize("module", [*RECORD, *SHOW])
def test_record_and_show_never_load_torch(module):
    if not (LAB / module).is_dir() and not (LAB / f"{module}.py").exists():
        pytest.skip(f"lab.{module} is not part of the package yet")
    in_fresh_python(f"import sys, lab.{module}\nassert 'torch' not in sys.modules")


# A rule that nothing can break is no rule: each is shown a small house that breaks it.
@pytest.mark.parametrize(
    ("rule", "module", "source"),
    [
        (test_every_module_belongs_to_a_room, "lab/attic.py", ""),
        (test_modules_import_only_their_own_room_downwards, "lab/preferences.py", "from lab.training import train"),
        (test_modules_import_only_their_own_room_downwards, "lab/preferences.py", "from lab import training"),
        (test_modules_import_only_their_own_room_downwards, "lab/policies/mlp.py", "from ..training import train"),
        (test_modules_import_only_their_own_room_downwards, "lab/policies/mlp.py", "from lab import DPO"),
        (test_modules_import_only_their_own_room_downwards, "lab/metrics.py", "import lab.training"),
        (test_modules_import_only_their_own_room_downwards, "lab/metrics.py", "def f():\n    import lab.plots"),
        (test_modules_import_only_their_own_room_downwards, "lab/plots/curves.py", "from lab.experiments import run"),
        (test_modules_import_only_their_own_room_downwards, "lab/problems.py", "from lab.trajectory import save"),
        (test_rooms_speak_their_own_libraries_only, "lab/gradients.py", "import numpy as np"),
        (test_rooms_speak_their_own_libraries_only, "lab/metrics.py", "def f():\n    from torch.nn import Module"),
        (test_rooms_speak_their_own_libraries_only, "lab/plots/curves.py", "import torch"),
        (test_only_training_opens_the_door_to_the_record_room, "lab/problems.py", "import lab.trajectory"),
        (test_every_library_in_use_is_declared, "figures/one.py", "import tqdm"),
        (test_nothing_in_the_package_knows_figures_notebooks_tests_or_benchmarks, "lab/claims/a.py", "import figures"),
        (test_private_names_stay_in_their_module, "figures/one.py", "from lab.policies.mlp import _hidden"),
        (test_private_names_stay_in_their_module, "figures/one.py", "import lab._core"),
        (test_no_module_is_a_drawer_for_homeless_functions, "lab/plots/utils.py", ""),
        (test_no_module_is_a_drawer_for_homeless_functions, "figures/common/axes.py", ""),
        (test_no_module_outgrows_the_cap, "lab/metrics.py", "x = 1\n" * (LINE_CAP + 1)),
    ],
)
def test_each_rule_rejects_what_breaks_it(rule, module, source, tmp_path, monkeypatch):
    (tmp_path / "lab" / "trajectory").mkdir(parents=True)
    (tmp_path / "lab" / "training.py").touch()
    (tmp_path / "lab" / "plots").mkdir()
    (tmp_path / "lab" / "experiments").mkdir()
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    monkeypatch.setitem(globals(), "LAB", tmp_path / "lab")
    rule()
    path = tmp_path / module
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source, encoding="utf-8")
    with pytest.raises(AssertionError):
        rule()
