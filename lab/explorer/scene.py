"""What an explorer is made of: controls, pictures and words. A scene makes them; the widget only shows them.

A scene is three pure functions of a frozen state, so that everything an explorer does is tested without a browser.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

KINDS = (
    "slider",
    "cursor",
    "select",
    "radio",
    "grid",
    "number",
    "toggle",
    "button",
    "text",
    "question",
    "world",
    "pins",
)


@dataclass(frozen=True)
class Control:
    """One control as a reader sees it.

    Args:
        key: what `change` calls it.
        label: its words.
        kind: one of KINDS; a cursor is a slider that can be played, a grid a two by two of radio buttons.
        value: its value, as the line writes it.
        choices: the values it may take, in order; a slider steps through them.
        texts: how each choice reads; the choices themselves if empty.
        group: the heading that it stands under.
        about: one sentence that explains it.
        live: whether a drag sends every value, or only the one it ends at.
        locked: whether it can only be looked at.

    Raises:
        ValueError: for an unknown kind, texts that do not match the choices, or a value that is not among them.
    """

    key: str
    label: str
    kind: str
    value: str = ""
    choices: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    group: str = "settings"
    about: str = ""
    live: bool = False
    locked: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"the kind of '{self.key}' is '{self.kind}'; the kinds are {', '.join(KINDS)}")
        if self.texts and len(self.texts) != len(self.choices):
            raise ValueError(f"'{self.key}' has {len(self.texts)} texts for {len(self.choices)} choices; give one each")
        if self.choices and self.kind not in ("question", "pins") and self.value not in self.choices:
            raise ValueError(f"'{self.key}' is '{self.value}', not one of its choices {', '.join(self.choices)}")

    def shown(self) -> dict[str, Any]:
        """Return the control as plain values for the page."""
        return {
            "key": self.key, "label": self.label, "kind": self.kind, "value": self.value,
            "choices": list(self.choices), "texts": list(self.texts or self.choices), "group": self.group,
            "about": self.about, "live": self.live, "locked": self.locked,
        }  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One drawn panel.

    Args:
        key: a name that stays the same from view to view.
        png: the image.
        alt: what is seen, with the numbers.
        mark: where a cursor line is laid over the image: its x, top and height as shares of the image; None for none.
    """

    key: str
    png: bytes
    alt: str
    mark: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if not self.alt:
            raise ValueError(f"picture '{self.key}' has no alt text; say what is seen, with the numbers")


@dataclass(frozen=True)
class View:
    """Everything that an explorer shows at one state.

    Args:
        pictures: the panels, in reading order.
        summary: one sentence with the numbers, read aloud when it changes.
        header: the head of the table of numbers.
        rows: its rows.
        line: the experiment line.
        numbers: the numbers of the summary, by name.
        caption: a title, a sentence and a question above the pictures; empty for none.
        error: what is wrong with the last change; the rest is then that of the last good state.
    """

    pictures: tuple[Picture, ...]
    summary: str
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    line: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)
    caption: tuple[str, ...] = ()
    error: str = ""


class Scene(Protocol):
    """What the widget needs of a scene. `State` is whatever frozen object the scene's own functions take."""

    name: str

    def keys(self) -> tuple[str, ...]:
        """List every key that a control may have, in any state."""

    def controls(self, state: Any) -> tuple[Control, ...]:
        """List the controls of a state."""

    def change(self, state: Any, key: str, value: str) -> Any:
        """Return the state after a control was moved.

        Raises:
            TypeError, ValueError: if the value is not allowed; the message is shown to the reader.
        """

    def show(self, state: Any) -> View:
        """Draw a state."""
