"""What a teacher takes away: controls that are hidden, and controls that can be looked at only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lab.experiments.grammar import nearest
from lab.explorer.scene import Control, Scene, View


class Limited:
    """A scene without some of its controls, or with some of them fixed.

    Args:
        scene: the scene.
        hide: keys of controls that are not shown.
        lock: keys of controls whose value stays, whatever is changed, the line included.

    Raises:
        ValueError: for a key that the scene has not.
    """

    def __init__(self, scene: Scene, *, hide: Sequence[str] = (), lock: Sequence[str] = ()) -> None:
        for name, given in (("hide", hide), ("lock", lock)):
            if isinstance(given, str):
                raise TypeError(f"{name} is the text '{given}'; give a tuple of keys, such as {name}=('{given}',)")
            for key in given:
                if key not in scene.keys():
                    near = nearest(key, list(scene.keys()))
                    raise ValueError(f"{name} has '{key}'.{near} The controls are {', '.join(scene.keys())}.")
        self.name = scene.name
        self._scene, self._hide, self._lock = scene, frozenset(hide), frozenset(lock)

    def keys(self) -> tuple[str, ...]:
        """List every key that a control may have."""
        return self._scene.keys()

    def controls(self, state: Any) -> tuple[Control, ...]:
        """List the controls that are left."""
        return tuple(
            replace(control, locked=control.locked or control.key in self._lock)
            for control in self._scene.controls(state)
            if control.key not in self._hide
        )

    def change(self, state: Any, key: str, value: str) -> Any:
        """Return the state after a control was moved.

        Raises:
            ValueError: if that would move a locked one; and as the scene itself.
        """
        fixed = self._values(state)
        if key in self._lock:
            raise ValueError(f"{key} is locked here; change another control.")
        changed = self._scene.change(state, key, value)
        now = self._values(changed)
        moved = [name for name, before in fixed.items() if now.get(name, before) != before]
        if moved:
            raise ValueError(f"{moved[0]} is locked at {fixed[moved[0]]} here; keep it, and change something else.")
        return changed

    def show(self, state: Any) -> View:
        """Draw a state."""
        return self._scene.show(state)

    def _values(self, state: Any) -> dict[str, str]:
        return {control.key: control.value for control in self._scene.controls(state) if control.key in self._lock}
