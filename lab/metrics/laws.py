"""What exact results are held against: the clock of a pair in a table, the change of a step, interference."""

from __future__ import annotations

import numpy as np
import xarray as xr

from lab.metrics.pairs import margin
from lab.metrics.probabilities import exp, label, unseen_mass


def flow_time(ds: xr.Dataset) -> xr.DataArray:
    """Compute the training time that DPO's gradient flow in a table needs to reach each margin.

    t = (m + e^m - 1) / (2 β² w), for a pair that is alone on its prompt and has the weight w; training time is the
    learning rate times the steps

    Args:
        ds: A record of DPO.

    Returns:
        [..., step, pair] in units of learning rate times steps; NaN for an objective without β.

    Source: own derivation, dm/dt = 2 β² w σ(-m), whatever the start and the number of responses;
        tests/test_metrics_laws.py integrates it numerically.
    """
    reached = margin(ds)
    time = (reached + xr.apply_ufunc(np.expm1, reached)) / (2 * ds["beta_chosen"] ** 2 * ds["pair_weight"])
    return label(time.transpose(*reached.dims), "flow_time", "time of the gradient flow", "learning rate · steps")


def step_change(array: xr.DataArray) -> xr.DataArray:
    """Compute how a quantity changes in each step, from one recorded state to the next.

    Δ_k = a_(k+1) - a_k, at the step k that it starts from

    Args:
        array: [..., step, ...].

    Returns:
        The same dimensions, one step fewer, in the units of the array.

    Source: definition; tests/test_metrics_laws.py.
    """
    change = array.diff("step", label="lower")
    name, units = str(array.name or "array"), str(array.attrs.get("units", "1"))
    return label(change, f"{name}_change", f"change of the {array.attrs.get('long_name', name)}", units)


def unseen_change(ds: xr.Dataset) -> xr.DataArray:
    """Compute how the unseen mass of each pair's prompt changes in each step.

    Args:
        ds: A record.

    Returns:
        [..., step, pair], one step fewer than the record.

    Source: definition; tests/test_metrics_laws.py.
    """
    change = step_change(unseen_mass(ds)).isel(prompt=xr.DataArray(ds["pair_prompt"].values, dims="pair"))
    return label(change, "unseen_change", "change of the unseen mass", "1")


def largest_unseen_rise(chosen: np.ndarray, rejected: np.ndarray) -> np.ndarray:
    """Compute by how much a table's unseen mass rises at most, on the way from its start.

    u / (u + 2 √(p q)) - u where q > p, and 0 elsewhere, with p, q the start probabilities of a prompt's one pair and
    u = 1 - p - q

    The pair's logits move by equal and opposite amounts, d and -d: the unseen share is u / (p e^d + q e^-d + u). It is
    largest at e^2d = q / p, and a preference only raises d.

    Args:
        chosen: p, any shape, above 0.
        rejected: q, above 0, p + q at most 1; the two broadcast.

    Returns:
        Probabilities of their common shape.

    Raises:
        ValueError: If a probability is not above 0, or two sum to more than 1.

    Source: own derivation; tests/test_metrics_laws.py trains a table.
    """
    p, q = np.broadcast_arrays(np.asarray(chosen, np.float64), np.asarray(rejected, np.float64))
    rest = 1 - p - q
    if not ((p > 0) & (q > 0) & (rest > -1e-12)).all():
        raise ValueError(
            f"start probabilities reach from {p.min():g} and {q.min():g} to a sum of {(p + q).max():g}; each must be "
            "above 0 and the two sum to at most 1"
        )
    return np.where(q > p, rest / (rest + 2 * np.sqrt(p * q)) - rest, 0.0)


def interference(ds: xr.Dataset) -> xr.DataArray:
    """Compute how much of its own rise the chosen term loses to the rejected term in a plain gradient step.

    -⟨G⁺, G⁻⟩ / ‖G⁺‖² of the two terms' gradients in the parameters; for one pair under DPO ⟨g⁺, g⁻⟩ / ‖g⁺‖² with
    g = ∇ log π. Above 1 an infinitesimal step lowers the chosen response (for several pairs: their mean log π⁺,
    weighted by w · response_weight).

    Args:
        ds: A record that keeps gradients.

    Returns:
        [..., step]; NaN where a term has no gradient.

    Raises:
        ValueError: If the record keeps no gradients.

    Source: own derivation; tests/test_metrics_laws.py.
    """
    missing = [name for name in ("parameter_log_norm", "parameter_cosine") if name not in ds]
    if missing:
        raise ValueError(
            f"the record has no {' and no '.join(missing)}; it was kept without parameter-space gradients. "
            "Run the experiment with keep=gradients, on a policy with shared parameters."
        )
    norms = ds["parameter_log_norm"]
    larger = norms.sel(term="rejected", drop=True) - norms.sel(term="chosen", drop=True)
    lost = -ds["parameter_cosine"] * exp(larger)
    return label(lost.transpose(*ds["parameter_cosine"].dims), "interference", "share of the rise taken back", "1")
