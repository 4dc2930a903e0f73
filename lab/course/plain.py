"""Plain values: what an answer gives, freed of every class that a student could have written, and as JSON."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

SCALARS = (bool, int, float, str)
MOST = 2**63 - 1  # beyond it arithmetic with floats breaks


def plain(value: Any) -> Any:
    """Turn a value into numbers, strings, lists, tuples, dicts and arrays of numpy's own class.

    Args:
        value: What an answer gave. Tensors and labelled arrays become arrays, numpy's scalars become Python's.

    Returns:
        A new value that holds no object of another class, so that comparing it runs no foreign code.

    Raises:
        TypeError: Something in it is none of these.
    """
    if type(value) is int and abs(value) > MOST:
        raise TypeError(f"a whole number above {MOST}")
    if value is None or type(value) in SCALARS:
        return value
    if isinstance(value, np.generic):
        return plain(value.item()) if value.dtype.kind in "biuf" else _refuse(value)
    if isinstance(value, np.ndarray):
        # np.array strips a subclass; a copy keeps what was given when the argument changes later.
        return np.array(value, subok=False) if value.dtype.kind in "biufU" else _refuse(value)
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if type(value) is dict:
        return {_key(key): plain(item) for key, item in value.items()}
    return plain(_array(value))


def encode(value: Any) -> Any:
    """Turn a plain value into what JSON can hold.

    Args:
        value: A plain value (see `plain`).

    Returns:
        Numbers, strings, None and lists as they are; the rest as {"array": ...}, {"tuple": ...} or {"dict": ...}.
    """
    if isinstance(value, np.ndarray):
        return {"array": value.ravel().tolist(), "shape": list(value.shape), "kind": value.dtype.kind}
    if isinstance(value, tuple):
        return {"tuple": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[encode(key), encode(item)] for key, item in value.items()]}
    if isinstance(value, list):
        return [encode(item) for item in value]
    return value


def decode(value: Any) -> Any:
    """Undo `encode`.

    Args:
        value: What JSON held.

    Returns:
        The plain value; an array is float64, int64, bool or text.

    Raises:
        ValueError: It is not what `encode` writes.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"array", "shape", "kind"} and value["kind"] in "biufU":
        kind = {"b": bool, "f": float, "U": str}.get(value["kind"], int)
        return np.array(value["array"], dtype=kind).reshape(value["shape"])
    if set(value) == {"tuple"}:
        return tuple(decode(item) for item in value["tuple"])
    if set(value) == {"dict"}:
        return {decode(key): decode(item) for key, item in value["dict"]}
    raise ValueError(f"JSON with the keys {sorted(value)} is no encoded value; encode writes array, tuple or dict.")


def _array(value: Any) -> np.ndarray:
    """Take the numbers out of a tensor or a labelled array; only of those classes themselves."""
    torch, xarray = sys.modules.get("torch"), sys.modules.get("xarray")
    if torch is not None and type(value) is torch.Tensor:
        return value.detach().cpu().numpy()
    if xarray is not None and type(value) is xarray.DataArray:
        return value.values
    return _refuse(value)


def _key(key: Any) -> Any:
    return key if type(key) in SCALARS else _refuse(key)


def _refuse(value: Any) -> Any:
    raise TypeError(f"an object of the class {type(value).__name__}")
