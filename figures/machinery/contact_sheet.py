"""The contact sheet: every picture on one page that asks nothing of the network."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

from figures.machinery.freshness import last_record
from figures.machinery.saving import PART

_STYLE = """
:root { color-scheme: light dark; --text: #1c1c1c; --soft: #5c5c5c; --page: #f6f6f4; --card: #ffffff;
  --line: #d9d9d6; --link: #005a8c; --bad: #b00020; }
@media (prefers-color-scheme: dark) { :root { --text: #ececec; --soft: #a8a8a8; --page: #16181b; --card: #202327;
  --line: #383c42; --link: #7cc4f0; --bad: #ff8a9b; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(1rem, 4vw, 3rem) 4rem; max-width: 110rem; color: var(--text);
  background: var(--page); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 0 0 .35rem; line-height: 1.35; }
header p, .about { color: var(--soft); margin: .3rem 0 0; font-size: .9rem; }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 34rem), 1fr)); gap: 1.5rem;
  margin-top: 1.5rem; align-items: start; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1.1rem; }
article.failed { border-color: var(--bad); } .failed p { color: var(--bad); overflow-wrap: anywhere; }
img { display: block; width: 100%; height: auto; background: #ffffff; border-radius: .3rem; margin: .7rem 0; }
code { font: .82rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
details { font-size: .9rem; margin-top: .5rem; } summary { cursor: pointer; color: var(--soft); }
a { color: var(--link); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
nav { font-size: .9rem; display: flex; gap: .9rem; flex-wrap: wrap; }
"""


def build(names: Iterable[str], folder: Path, *, header: str) -> Path:
    """Write the contact sheet of a folder of figures.

    Args:
        names: Every figure there is, in the order of the page.
        folder: Where pictures and provenance lie.
        header: What was used: commit and versions.

    Returns:
        index.html; a figure that failed stands in it with its error, one that was not drawn is left out.
    """
    cards = [card for name in names if (card := _card(name, folder))]
    body = "\n".join(cards) or "<p>Nothing is drawn yet.</p>"
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dpolab figures</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>dpolab figures</h1>
<p>{escape(header)}. Draw again what is out of date: <code>python -m figures</code></p>
</header>
<main>
{body}
</main>
</body>
</html>
"""
    with tempfile.TemporaryDirectory(dir=folder, prefix=PART) as part:
        file = Path(part) / "index.html"
        file.write_text(text, encoding="utf-8")
        os.replace(file, folder / "index.html")
    return folder / "index.html"


def _card(name: str, folder: Path) -> str:
    record = last_record(name, folder)
    if not record:
        return _failed(name, folder)
    lines = "<br>".join(f"<code>{escape(line)}</code>" for line in dict.fromkeys(record["lines"].values()))
    files = [*record["outputs"], f"{name}.json"]
    links = " ".join(f'<a href="{escape(file)}">{escape(file.rpartition(".")[2])}</a>' for file in files)
    return f"""<article id="{escape(name)}">
<h2>{escape(record["title"])}</h2>
<p class="about">{escape(_about(name, record))}</p>
<a href="{escape(name)}.png"><img src="{escape(name)}.png" alt="{escape(record["alt"])}" loading="lazy"></a>
<nav aria-label="files of {escape(name)}">{links}</nav>
<details><summary>In words</summary><p>{escape(record["alt"])}</p></details>
<details><summary>How it was made</summary><p>{lines}<br><code>{escape(record["command"])}</code><br>
{escape(_made(record))}</p></details>
</article>"""


def _failed(name: str, folder: Path) -> str:
    file = folder / f"{name}.error.txt"
    if not file.is_file():
        return ""
    first = file.read_text(encoding="utf-8").splitlines()[:1]
    return f"""<article id="{escape(name)}" class="failed">
<h2>{escape(name)} failed</h2>
<p>{escape("".join(first))}</p>
<nav aria-label="files of {escape(name)}"><a href="{escape(file.name)}">trace</a></nav>
</article>"""


def _about(name: str, record: Mapping) -> str:
    seeds = sorted(set(record["seeds"].values()))
    parts = [name, record["paper"], f"{' or '.join(map(str, seeds))} seeds", "QUICK" if record["quick"] else ""]
    return " · ".join(part for part in parts if part)


def _made(record: Mapping) -> str:
    versions = ", ".join(f"{name} {each}" for name, each in record["versions"].items())
    changed = " with changes" if record["dirty"] else ""
    return f"{record['drawn']}, {record['device']}, commit {record['commit'][:7]}{changed}; {versions}"
