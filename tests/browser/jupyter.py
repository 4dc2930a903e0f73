"""A JupyterLab of our own and a browser at it: what the tests of this folder and the benchmarks drive."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from playwright.sync_api import Browser, Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "a-token-for-this-run-only"
PATIENCE = 120_000  # milliseconds; how long a loaded machine may take for one thing
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = (
    "there is no Chromium for the browser tests. Install one: `apt-get install chromium` on Debian and Ubuntu, "
    "`.venv/bin/python -m playwright install chromium` anywhere"
)
# No name is looked up but this machine's: whoever asks for another fails, and is seen.
ARGUMENTS = ("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--disable-dev-shm-usage")
# Without it JupyterLab asks which kernel to take.
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
QUIET = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}  # a toast would cover a corner


def find_browser(own: str) -> str | None:
    """Return the path of a Chromium: the system's, or `own`, where Playwright puts the one that it installs."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or (own if Path(own).exists() else None)


@contextmanager
def a_browser() -> Iterator[Browser | None]:
    """Start a browser without a window; None where there is none."""
    with sync_playwright() as playwright:
        path = find_browser(playwright.chromium.executable_path)
        if path is None:
            yield None
            return
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS), timeout=PATIENCE)
        yield browser
        browser.close()


@contextmanager
def a_server(folder: Path) -> Iterator[str]:
    """Serve a folder by a JupyterLab that shares nothing with the user's own; yields its address."""
    own = folder / ".jupyter"
    settings = own / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(QUIET), encoding="utf-8")
    places = {"CONFIG": own / "config", "DATA": own / "data", "RUNTIME": own / "runtime"}
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}_DIR": str(place) for name, place in places.items()},
        "JUPYTERLAB_SETTINGS_DIR": str(own / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(own / "workspaces"),
        "IPYTHONDIR": str(own / "ipython"),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", "--port=0", "--allow-root",
        "--expose-app-in-browser", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}",
        "--ServerApp.shutdown_no_activity_timeout=1800",  # should these tests be killed
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        said: list[str] = []
        try:
            for line in server.stderr:
                said.append(line)
                if found := re.search(r"http://127\.0\.0\.1:\d+", line):
                    break
            else:
                raise RuntimeError("JupyterLab did not start:\n" + "".join(said))
            reader = Thread(target=said.extend, args=(server.stderr,), daemon=True)  # or its pipe fills and it halts
            reader.start()
            yield found[0]
        finally:
            server.terminate()  # it ends its kernels
            server.wait()
            reader.join()


@dataclass(frozen=True)
class Explorer:
    """One explorer on a page."""

    root: Locator

    def control(self, key: str) -> Locator:
        return self.root.locator(f'[data-lab-control="{key}"]')

    def slider(self, key: str) -> Locator:
        return self.control(key).locator("input[type=range]")

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True)

    @property
    def line(self) -> str:
        return self.root.get_attribute("data-lab-line") or ""

    @property
    def summary(self) -> str:
        return self.root.locator(".lab-summary").inner_text()

    @property
    def renders(self) -> int:
        return int(self.root.get_attribute("data-lab-renders") or 0)

    def number(self, name: str) -> float:
        return float(self.root.get_attribute(f"data-lab-number-{name}") or "nan")

    def settle(self) -> None:
        """Wait until the kernel has answered everything that was asked of it."""
        self.root.page.wait_for_function("root => !root.hasAttribute('aria-busy')", arg=self.root.element_handle())

    def enter(self, line: str) -> None:
        field = self.root.get_by_label("experiment line", exact=True)
        field.fill(line)
        field.press("Enter")
        self.settle()

    def press(self, key: str, *keys: str) -> None:
        """Press keys on a slider, and wait for the answer."""
        self.slider(key).focus()
        for each in keys:
            self.root.page.keyboard.press(each)
        self.settle()

    def click(self, name: str) -> None:
        self.button(name).click()
        self.settle()


@dataclass(frozen=True)
class Lab:
    """A page with JupyterLab on it."""

    page: Page
    address: str

    def open(self, path: str) -> None:
        self.page.goto(f"{self.address}/lab/tree/{path}?token={TOKEN}&reset")
        self.idle()

    def idle(self) -> None:
        """Wait for the kernel of the notebook in front."""
        self.page.wait_for_function(
            "() => window.jupyterapp?.shell.currentWidget?.context?.sessionContext?.session?.kernel?.status === 'idle'"
        )
        self.page.locator(".jp-Spinner").wait_for(state="hidden")

    def command(self, name: str, **arguments: object) -> None:
        """Have JupyterLab carry out one of its commands to the end."""
        self.page.evaluate(
            """([name, given, patience]) => Promise.race([
                jupyterapp.commands.execute(name, given).then(() => null),
                new Promise((_, fail) => setTimeout(() => fail(new Error(`${name} took too long`)), patience)),
            ])""",
            [name, arguments, PATIENCE],
        )

    def explorers(self) -> list[Explorer]:
        return [Explorer(found) for found in self.page.locator(".lab-explorer").all()]

    def explorer(self) -> Explorer:
        """Wait for the only explorer on the page."""
        found = self.page.locator('.lab-explorer[data-lab-ready="1"]')
        found.wait_for()
        return Explorer(found)

    def select(self, cell: int) -> None:
        """Bring a cell into sight; those out of it may not be on the page."""
        self.page.evaluate(
            """async (cell) => {
                const notebook = jupyterapp.shell.currentWidget.content;
                notebook.activeCellIndex = cell;
                await notebook.scrollToItem(cell);
            }""",
            cell,
        )

    def said(self, cell: int) -> str:
        """Return what a cell printed."""
        return self.page.evaluate(
            """(cell) => jupyterapp.shell.currentWidget.content.widgets[cell].model.outputs?.toJSON()
                .map((output) => output.text ?? (output.ename ? `${output.ename}: ${output.evalue}` : ""))
                .flat().join("") ?? \"\"""",
            cell,
        )

    def write(self, cell: int, text: str) -> None:
        """Type over a cell as a user does, and run it."""
        self.select(cell)
        self.page.locator(".jp-Notebook .jp-mod-active .cm-content").click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(text)
        self.command("notebook:run-cell")
