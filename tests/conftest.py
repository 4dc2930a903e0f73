"""What every test shares: deterministic property tests without deadlines, no figure left open, a cache of their own."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest
from hypothesis import HealthCheck, settings

# A deadline measures the machine, not the code; a fixed draw makes a failure repeatable.
settings.register_profile("lab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lab")

# A shell that starts the tests in the background has interrupts ignored, and every process started here would too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def session_cache(tmp_path_factory):
    """Keep the user's cache out of the tests; a reference that one of them fits serves all, in every worker."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "dpolab-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPOLAB_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
