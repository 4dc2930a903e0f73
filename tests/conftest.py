"""What every test shares: deterministic property tests without deadlines, and no figure left open."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, settings

# A deadline measures the machine, not the code; a fixed draw makes a failure repeatable.
settings.register_profile("lab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("lab")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
