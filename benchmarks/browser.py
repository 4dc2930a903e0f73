"""How long a reader waits: from a key on a slider to the new picture, in JupyterLab in a real browser."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import nbformat

MOVES = 20
# From the event that the key makes to the picture that the browser has decoded.
WATCH = """root => {
    const slider = root.querySelector('[data-lab-control="beta"] input');
    const picture = root.querySelector('figure img');
    window.waits = [];
    slider.addEventListener('input', () => { window.pressed = performance.now(); }, true);
    picture.addEventListener('load', () => window.waits.push((performance.now() - window.pressed) / 1000));
}"""


def slider_to_picture(line: str) -> Callable[[], float]:
    """Time moves of the slider of beta.

    Args:
        line: the experiment that the explorer begins with.

    Returns:
        A function that starts server and browser, moves the slider MOVES times, and returns the median wait in seconds;
        it raises RuntimeError where there is no browser.
    """

    def once() -> float:
        from tests.browser.jupyter import KERNEL, MISSING, PATIENCE, Lab, a_browser, a_server

        with tempfile.TemporaryDirectory() as place, a_browser() as browser:
            if browser is None:
                raise RuntimeError(MISSING)
            folder = Path(place)
            cell = nbformat.v4.new_code_cell(f'import lab\nlab.explore("{line}")')
            nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=KERNEL), folder / "slider.ipynb")
            with a_server(folder) as address:
                page = browser.new_page()
                page.set_default_timeout(PATIENCE)
                lab = Lab(page, address)
                lab.open("slider.ipynb")
                lab.command("notebook:run-all-cells")
                explorer = lab.explorer()
                explorer.press("beta", "Home")
                explorer.root.evaluate(WATCH)
                for _ in range(MOVES):
                    explorer.press("beta", "ArrowRight")
                return statistics.median(page.evaluate("() => window.waits"))

    return once
