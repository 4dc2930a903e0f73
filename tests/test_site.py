"""The site is whole: built without a warning, every page there, no link broken, nothing fetched from elsewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pages.gathering import DOCUMENTS, gather, relinked

ROOT = Path(__file__).resolve().parent.parent
# Attributes whose file a page loads by itself; a link to click on may lead anywhere.
LOADS = {
    "img": "src",
    "script": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
SCRIPT_LOADS = re.compile(r"@import|url\(\s*['\"]?(?:https?:)?//|\bimport\(|fetch\(|\bfrom ['\"]https?:")


@dataclass
class Page(HTMLParser):
    """What a page is made of."""

    path: Path
    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    wordless: list[str] = field(default_factory=list)
    formulas: int = 0
    text: str = ""
    inside: str = ""

    def __post_init__(self):
        super().__init__()
        self.feed(self.path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.inside = tag
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        self.formulas += tag == "math"
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in LOADS and given.get(LOADS[tag]):
            self.loads.append(given[LOADS[tag]])
        if tag == "img" and not (given.get("alt") or "").strip():
            self.wordless.append(given.get("src", "")[:80])

    def handle_data(self, data):
        if self.inside not in ("script", "style", "pre", "code", "span", "annotation"):
            self.text += data


def faults(site: Path) -> list[str]:
    """What is wrong with a folder of pages."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html"))}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site).as_posix()
        found += [f"{name} loads {each}" for each in page.loads if re.match(r"(https?:)?//", each)]
        found += [f"{name} shows {each} without alt text" for each in page.wordless]
        local = [each for each in (*page.links, *page.loads) if not re.match(r"\w+:|//", each)]
        for each in local:
            parts = urlsplit(each)
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name} leads to {each}, which is not there")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                found.append(f"{name} leads to {each}, which has no such place")
    for path in sorted(site.rglob("*.css")):
        if SCRIPT_LOADS.search(path.read_text(encoding="utf-8")):
            found.append(f"{path.relative_to(site)} loads from elsewhere")
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "pages"
    done = subprocess.run([sys.executable, "-m", "pages", str(out)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_no_page_is_broken_or_asks_for_anything_from_elsewhere(site):
    assert not faults(site), "\n".join(faults(site))


def test_every_document_notebook_and_figure_has_its_page_and_can_be_reached(site):
    wanted = {name.replace(".md", ".html").replace("README", "index", name == "README.md") for name in DOCUMENTS}
    wanted |= {f"notebooks/{path.stem}.html" for path in (ROOT / "notebooks").glob("*.ipynb")}
    wanted |= {f"gallery/{path.stem}.html" for path in (ROOT / "figures").glob("[!_]*.py")}
    reached, waiting = set(), [site / "index.html"]
    while waiting:
        path = waiting.pop().resolve()
        if path not in reached and path.suffix == ".html":
            reached.add(path)
            links = [urlsplit(each) for each in Page(path).links]
            waiting += [path.parent / unquote(each.path) for each in links if each.path and not each.scheme]
    assert wanted <= {path.relative_to(site.resolve()).as_posix() for path in reached}


def test_formulas_are_mathml_and_outputs_are_those_of_the_committed_notebook(site):
    page = Page(site / "notebooks" / "03_dpo.html")
    source = (ROOT / "notebooks" / "src" / "03_dpo.py").read_text(encoding="utf-8")
    committed = (ROOT / "notebooks" / "03_dpo.ipynb").read_text(encoding="utf-8")
    text = page.path.read_text(encoding="utf-8")
    assert page.formulas == source.count("$$") / 2 > 3
    assert "$" not in page.text and "\\frac" not in page.text
    assert text.count('src="data:image/png;base64,') == committed.count("data:image/png;base64,") > 1
    assert "3.1 is not written yet" in text


def test_a_figure_stands_with_its_words_and_its_experiments(site):
    text = (site / "gallery" / "three_properties.html").read_text(encoding="utf-8")
    read = re.sub(r"<[^>]+>", "", text)
    assert "mlp s1 dpo beta=0.1 adam lr=0.001 steps=500 seeds=24" in read
    assert "python -m figures three_properties" in read
    (words,) = re.findall(r'<img alt="(Four panels[^"]+)"', text)
    assert "24 seeds" in words


# A check that nothing can fail is none: each fault is planted once.
@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ('<script src="https://example.org/x.js"></script>', "loads https://example.org/x.js"),
        ('<link rel="stylesheet" href="//example.org/x.css">', "loads //example.org/x.css"),
        ('<img src="a.png">', "shows a.png without alt text"),
        ('<img src="gone.png" alt="words">', "leads to gone.png, which is not there"),
        ('<a href="gone.html">x</a>', "leads to gone.html, which is not there"),
        ('<a href="#gone">x</a>', "leads to #gone, which has no such place"),
    ],
)
def test_a_fault_in_a_page_is_found(tmp_path, body, fault):
    (tmp_path / "a.png").write_bytes(b"")
    (tmp_path / "index.html").write_text(f"<a href='https://example.org'>fine</a>{body}", encoding="utf-8")
    assert [f"index.html {fault}"] == faults(tmp_path)


def test_a_style_that_loads_a_font_from_elsewhere_is_found(tmp_path):
    (tmp_path / "x.css").write_text("@font-face { src: url(https://example.org/x.woff2) }", encoding="utf-8")
    assert faults(tmp_path) == ["x.css loads from elsewhere"]


def test_links_lead_to_pages_and_pictures_to_the_gallery(tmp_path):
    text = "[a](lab/gradients.py) [b](CLAIMS.md#x) [c](figures/gallery) [d](figures/gallery/scoreboard.png) [e](#f)"
    changed = relinked(text, "README.md", ROOT, tmp_path, {"CLAIMS.md"})
    assert (
        changed == "[a](lab/gradients.py.md) [b](CLAIMS.md#x) [c](gallery/index.md) [d](gallery/scoreboard.md) [e](#f)"
    )
    assert "def " in (tmp_path / "lab" / "gradients.py.md").read_text(encoding="utf-8")
    assert relinked("[x](../README.md)", "notebooks/a.ipynb", ROOT, tmp_path, set()) == "[x](../index.md)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x](gone.md)", "README.md links to gone.md, which is not there. Mend the link"),
        ("[x](lab)", "links to the folder lab, which has no page. Link to a file in it"),
    ],
)
def test_a_link_that_leads_nowhere_is_an_error(tmp_path, text, message):
    with pytest.raises(FileNotFoundError, match=message):
        relinked(text, "README.md", ROOT, tmp_path, set())


def test_a_figure_without_a_picture_is_an_error(tmp_path):
    for name in (*DOCUMENTS, "figures/gallery/x.txt", "notebooks/x.txt"):
        (tmp_path / "root" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "root" / name).write_text("", encoding="utf-8")
    (tmp_path / "root" / "figures" / "new.py").write_text("", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match="figure new has no picture in the gallery.*python -m figures new"):
        gather(tmp_path / "root", tmp_path / "sources")
