"""Running an experiment once: its record is kept on disk until anything that it depends on changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import lab
from lab import store
from lab.experiments.experiment import Experiment
from lab.experiments.sources import sources, versions

if TYPE_CHECKING:
    import xarray as xr

# Libraries whose version can change a number in the record.
LIBRARIES = ("torch", "numpy")


def run_inputs(experiment: str | Experiment, *, device: str = "cpu") -> dict[str, str]:
    """List everything that the record of an experiment depends on.

    Args:
        experiment: A line, or what it was read into.
        device: Where it runs.

    Returns:
        The canonical line, the device, the version of each library and the sha256 of each source file, by name.

    Raises:
        ValueError: The line is not an experiment.
    """
    parsed = experiment if isinstance(experiment, Experiment) else Experiment.parse(experiment)
    code = sources("lab.experiments.running")
    return {"line": str(parsed), "device": device, "dpolab": lab.__version__, **versions(*LIBRARIES), **code}


def cached_path(experiment: str | Experiment, *, device: str = "cpu") -> Path:
    """Return where the record of an experiment is kept; the file need not exist yet."""
    return _place(run_inputs(experiment, device=device))


def cached_run(
    experiment: str | Experiment,
    *,
    device: str = "cpu",
    progress: Callable[[float], None] | None = None,
    force: bool = False,
) -> xr.Dataset:
    """Return the record of an experiment from the cache, or run it and keep the record.

    Two processes that ask for the same line at once both run it; both write the same record, and neither sees half
    of the other's file.

    Args:
        experiment: A line, or what it was read into.
        device: Where it runs.
        progress: Called with the finished share in [0, 1] while it runs.
        force: Run it again even if a record is there.

    Returns:
        The record, as `lab.run` gives it.

    Raises:
        ValueError: The line is not an experiment.
        lab.NonFiniteError: A run became non-finite; nothing is kept then.

    Warns:
        RuntimeWarning: The file is damaged (the experiment is run again), or the cache cannot be written.
    """
    from lab.trajectory import load

    place = _place(run_inputs(experiment, device=device))
    if not force:
        try:
            record = load(place)
            store.touch(place)
            return record
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as problem:
            warnings.warn(
                f"The cached record {place.name} cannot be used ({problem}); its experiment is run again.",
                RuntimeWarning,
                stacklevel=2,
            )
    from lab.experiments.running import run

    record = run(experiment, device=device, progress=progress)
    _keep(record, place)
    return record


def _place(inputs: Mapping[str, str]) -> Path:
    return store.path(store.key("run", inputs), ".nc")


def _keep(record: xr.Dataset, place: Path) -> None:
    """Keep the record (`save` renames a whole file into place); a cache that cannot be written costs only time."""
    from lab.trajectory import save

    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        save(record, place)
        store.prune()
    except OSError as problem:
        warnings.warn(
            f"The record is not kept ({problem}); it will be run again. Free or permit {store.folder()}, or set "
            f"{store.VARIABLE} to a folder that can be written.",
            RuntimeWarning,
            stacklevel=3,
        )
