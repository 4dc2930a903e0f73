"""Run a notebook, and bring its outputs into a form that is the same on every machine."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat.v4

from lab.explorer import ASLEEP

EXPLORE = "Run this cell to explore."
WIDGET = "application/vnd.jupyter.widget-view+json"
ADDRESS = re.compile(r" at 0x[0-9a-f]{6,}")
SECONDS = 300


def execute(notebook: Any, folder: Path) -> None:
    """Run a notebook from top to bottom, and keep its outputs in it.

    Args:
        notebook: It is changed.
        folder: Where it runs.

    Raises:
        RuntimeError: A cell raised, wrote to the error stream, or took too long.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError

    client = NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(folder)}},
        record_timing=False, extra_arguments=["--IPKernelApp.log_level=ERROR"],
    )  # fmt: skip
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError) as problem:
        raise RuntimeError(f"A cell does not run. {problem}") from None
    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {
        key: notebook.metadata["language_info"][key] for key in ("name", "file_extension", "mimetype")
    }
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = normalised(cell)
            cell.metadata.pop("execution", None)
            loud = [output.text for output in cell.outputs if output.get("name") == "stderr"]
            if loud:
                raise RuntimeError(f"The cell {cell.source[:80]!r} warns: {loud[0][:400]} Mend what it warns of.")


def normalised(cell: Any) -> list[Any]:
    """Bring the outputs of a cell into one form.

    Args:
        cell: A code cell that was run.

    Returns:
        Its outputs: pieces of a stream joined, a widget replaced by a sentence, no addresses and no folders.
    """
    outputs: list[Any] = []
    for output in cell.outputs:
        if WIDGET in output.get("data", {}):
            if outputs and ASLEEP in outputs[-1].get("data", {}).get("text/html", ""):
                outputs.pop()
            html = f"<p><em>{EXPLORE}</em></p>"
            output = nbformat.v4.new_output("display_data", {"text/plain": EXPLORE, "text/html": html})
        elif output.output_type == "stream":
            if outputs and outputs[-1].get("name") == output.name:
                outputs[-1].text = _anywhere(outputs[-1].text + output.text)
                continue
            output.text = _anywhere(output.text)
        else:
            for kind, text in output.get("data", {}).items():
                if kind.startswith("text/"):
                    output.data[kind] = _anywhere(text)
        outputs.append(output)
    return outputs


def _anywhere(text: str) -> str:
    """Take out what only this machine and this moment have."""
    for folder, name in ((Path.cwd(), "."), (Path.home(), "~"), (Path(tempfile.gettempdir()), "(temporary)")):
        text = text.replace(f"{folder}/", f"{name}/")
    return ADDRESS.sub("", text)
