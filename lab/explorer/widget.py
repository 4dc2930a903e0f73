"""The widget: a thin shell that passes changes to a scene and shows the view that comes back."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from lab.explorer import ASLEEP
from lab.explorer.scene import Control, Scene, View

PAGE = Path(__file__).with_name("page")


class Explorer(anywidget.AnyWidget):
    """One scene on a page. `view` is all that the page knows; the page sends back which control was moved."""

    _esm = PAGE / "explorer.js"
    _css = PAGE / "explorer.css"
    view = traitlets.Dict().tag(sync=True)

    def __init__(self, scene: Scene, state: Any) -> None:
        self.scene, self.state = scene, state
        super().__init__(view=shown(scene.controls(state), scene.show(state)))
        self.on_msg(self._receive)

    def change(self, key: str, value: str) -> None:
        """Move a control, as the page does: a change that is not allowed shows its reason and changes nothing."""
        try:
            state = self.scene.change(self.state, key, value)
            view = shown(self.scene.controls(state), self.scene.show(state))
        except (ValueError, TypeError, FloatingPointError) as problem:
            self.view = {**self.view, "error": str(problem)}
        # Whatever else is wrong is a defect, and a reader must see that something is.
        except Exception as problem:
            self.view = {**self.view, "error": f"The explorer failed ({type(problem).__name__}: {problem})."}
        else:
            self.state, self.view = state, view

    def _receive(self, _: Any, content: Mapping[str, Any], __: Any) -> None:
        if content.get("kind") == "change":
            self.change(str(content["key"]), str(content["value"]))
            self.send({"kind": "done", "id": content.get("id"), "page": content.get("page")})

    def __repr__(self) -> str:
        return f"lab.explore({self.view['line']!r})  # {self.view['summary']}"

    def _ipython_display_(self) -> None:
        """Show a sentence for readers without a kernel, and the widget, whose style hides that sentence."""
        from IPython.display import HTML, display

        asleep = (
            f'<p class="{ASLEEP}">An explorer stands here: run this cell to use it. '
            f"<code>{escape(self.view['line'])}</code><br>{escape(self.view['summary'])}</p>"
        )
        # An output of its own: where its kernel is gone, JupyterLab shows an error instead of a widget's other forms.
        display(HTML(asleep))
        data, metadata = self._repr_mimebundle_() or ({}, {})
        display({**data, "text/plain": repr(self)}, metadata=metadata, raw=True)


def shown(controls: tuple[Control, ...], view: View) -> dict[str, Any]:
    """Write controls and view as plain values for the page."""
    pictures = [
        {
            "key": picture.key,
            "src": f"data:image/png;base64,{base64.b64encode(picture.png).decode()}",
            "alt": picture.alt,
            "mark": list(picture.mark) if picture.mark else None,
        }
        for picture in view.pictures
    ]
    return {
        "controls": [control.shown() for control in controls],
        "pictures": pictures,
        "summary": view.summary,
        "header": list(view.header),
        "rows": [list(row) for row in view.rows],
        "line": view.line,
        "numbers": dict(view.numbers),
        "caption": list(view.caption),
        "error": view.error,
    }
