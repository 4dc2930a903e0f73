"""The builder: sources in percent format become notebooks, slides, and nothing that gives a solution away."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import nbformat
import numpy as np
import pytest

from lab.course import Exercise, Wrong
from lab.course.building.assembling import assemble
from lab.course.building.executing import EXPLORE, execute, normalised
from lab.course.building.exercise_cells import solved, stub
from lab.course.building.inspecting import complaints, traces
from lab.course.building.percent import Cell, read_source
from lab.course.building.releasing import build, write
from lab.course.building.slides import formula, prose, slides_of, with_outputs
from lab.course.chapters import Chapter
from lab.course.verifying import as_text, differences


def softmax(logits: np.ndarray) -> np.ndarray:
    """Return exp(logits), divided by its sum.

    Args:
        logits: Scores, [response].
    """
    shifted = np.exp(logits - logits.max())  # so that large ones do not overflow
    return shifted / shifted.sum()


def unnormalised(logits):
    return np.exp(logits - logits.max())


def of_the_sum(logits):
    """A docstring of a wrong answer."""
    return np.exp(logits) / logits.sum()


def halved(logits):
    return softmax(logits) / 2


SOFTMAX = Exercise(
    id="1.1",
    title="A policy from scores",
    minutes=5,
    difficulty=2,
    points=3,
    goal="turn scores into a policy",
    solution=softmax,
    cases=lambda generator: [(generator.normal(size=size),) for size in (2, 3, 5)],
    wrong=(
        Wrong(unnormalised, "These do not sum to one."),
        Wrong(of_the_sum, "Divide by the sum of what you divide."),
        Wrong(halved, "These sum to one half."),
    ),
    hints=("Think of the sum.", "Subtract the largest.", "Divide by the sum of the exponentials."),
)
SOURCE = """# %% [markdown]
# # A *notebook*
#
# With $\\pi(y)$, and
#
# $$
# \\pi^*(y) = \\frac{1}{Z} \\pi_{\\mathrm{ref}}(y)\\, e^{r(y)/\\beta}
# $$
# %%
import numpy as np

from lab.course import check
# %% [markdown] tags=["slide"]
# | a | b |
# |---|---|
# | 1 | `2` |
# %% exercise 1.1
# %%
check("1.1", softmax)
# %%
print("done")
# %%
print("done")
"""


def built(source=SOURCE, **options):
    return assemble("source.py", read_source(source, "source.py"), {"1.1": SOFTMAX}, **options)


def test_a_source_is_read_cell_by_cell():
    cells = read_source(SOURCE, "source.py")
    assert [cell.kind for cell in cells] == ["markdown", "code", "markdown", "exercise", "code", "code", "code"]
    assert cells[0].text.startswith("# A *notebook*\n\nWith $") and cells[0].line == 1
    assert cells[1].text == "import numpy as np\n\nfrom lab.course import check"
    assert cells[2].tags == ("slide",) and cells[3] == Cell("exercise", "", "1.1", (), cells[3].line)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\n# %%\nx", r"s\.py:1 stands before the first cell\. Begin the file with # %% \[markdown\]\."),
        (
            "# %% [code]\nx",
            r"s\.py:1 is '# %% \[code\]'; a cell begins with # %%, # %% \[markdown\], .* Mend the line\.",
        ),
        (
            "# %%\nx\n# %% [markdown]\nno mark",
            r"s\.py:4 is 'no mark', inside markdown; each line there begins with '# '",
        ),
        ("# %% exercise 1.1\nx = 1", r"s\.py:1 begins exercise 1\.1 and goes on with 'x = 1'; the builder writes this"),
        ("# %%\n\n# %%\nx", r"s\.py:1 begins a cell that is empty\. Fill it, or delete the line\."),
    ],
)
def test_a_source_out_of_form_is_an_error_that_says_where(source, message):
    with pytest.raises(ValueError, match=message):
        read_source(source, "s.py")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# %% exercise 1.1\n", "", r"source\.py has the exercises none; its chapter has 1\.1\. Give each one cell"),
        ("exercise 1.1", "exercise 1.2", r"has the exercises 1\.2; its chapter has 1\.1"),
        (
            'check("1.1", softmax)',
            "1",
            r'is exercise 1\.1; the code cell below it holds check\("1\.1", softmax\)\. Add it',
        ),
        ("import numpy as np\n", "", r"exercise 1\.1 uses np, which no cell above it binds\. Import it in the"),
        ("import numpy", "import import", r"source\.py:10 is not Python: "),
    ],
)
def test_a_source_that_does_not_fit_its_exercises_is_an_error(old, new, message):
    assert SOURCE.count(old) == 1
    with pytest.raises(ValueError, match=message):
        built(SOURCE.replace(old, new))


def test_the_stub_has_the_task_and_the_solution_build_its_body_between_marks():
    first = "# exercise 1.1 · 5 min · ●●○○○ · A policy from scores\ndef softmax(logits: np.ndarray) -> np.ndarray:\n"
    assert stub(SOFTMAX).startswith(first) and stub(SOFTMAX).endswith(
        '"""\n    raise NotImplementedError("exercise 1.1")'
    )
    assert solved(SOFTMAX).startswith(first)
    marked = solved(SOFTMAX).split("    ### BEGIN SOLUTION\n")[1]
    assert marked.startswith("    shifted = np.exp") and marked.endswith("shifted.sum()\n    ### END SOLUTION")
    for text, outcome in ((stub(SOFTMAX), NotImplementedError), (solved(SOFTMAX), None)):
        space = {"np": np}
        exec(text, space)
        if outcome:
            with pytest.raises(outcome, match=r"^exercise 1\.1$"):
                space["softmax"](np.zeros(2))
        else:
            assert space["softmax"](np.zeros(2)).tolist() == [0.5, 0.5]


def test_equal_sources_give_equal_notebooks_whose_cells_keep_their_names():
    assert nbformat.writes(built()) == nbformat.writes(built())
    nbformat.validate(built())
    names = [cell.id for cell in built().cells]
    assert len(set(names)) == len(names) and "exercise-1-1" in names
    changed = [cell.id for cell in built(SOURCE.replace("| 1 |", "| 3 |")).cells]
    assert [before == after for before, after in zip(names, changed, strict=True)].count(False) == 1
    assert [cell.id for cell in built(solutions=True).cells] == names


def test_a_student_notebook_gives_nothing_away_and_a_solution_notebook_would():
    student, teacher = nbformat.writes(built()), nbformat.writes(built(solutions=True))
    assert not list(traces(student, [SOFTMAX]))
    assert list(traces(teacher, [SOFTMAX]))[0] == "### BEGIN SOLUTION"
    assert "1.1: return shifted / shifted.sum()" in list(traces(teacher, [SOFTMAX]))
    assert list(traces(student + "A docstring of a wrong answer.", [SOFTMAX])) == [
        "1.1: A docstring of a wrong answer."
    ]
    # What its author wrote into another cell is meant to be seen.
    assert not list(traces(student + "return shifted / shifted.sum()", [SOFTMAX], "return shifted / shifted.sum()"))


def test_hidden_hints_are_refused_by_the_second_code_cell():
    code = [cell.source for cell in built(hide_hints=True).cells if cell.cell_type == "code"]
    assert code[1] == "import lab.course\n\nlab.course.hide_hints()"
    assert "hide_hints" not in nbformat.writes(built())


def test_a_notebook_is_built_from_its_file_and_written_whole(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "08_new.py").write_text("# %% [markdown]\n# # New\n", encoding="utf-8")
    (release,) = build(tmp_path, (Chapter(8, "08_new"),))
    write(release.notebook, tmp_path / "out" / "08_new.ipynb")
    assert nbformat.read(tmp_path / "out" / "08_new.ipynb", as_version=4) == release.notebook
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["08_new.ipynb"]
    with pytest.raises(
        FileNotFoundError, match=r"There is no .*09_none\.py\. Run this in the project's folder, or name"
    ):
        list(build(tmp_path, (Chapter(9, "09_none"),)))


def output(kind, **fields):
    return nbformat.v4.new_output(kind, **fields)


def code_cell(*outputs):
    return nbformat.v4.new_code_cell("x", outputs=list(outputs))


def test_outputs_lose_addresses_folders_and_widgets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    widget = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "Widget(...)"}
    cell = code_cell(
        output("stream", name="stdout", text="one\n"),
        output("stream", name="stdout", text=f"<f at 0x7f00deadbeef> in {tmp_path}/a.py\n"),
        output("display_data", data={"text/html": '<p class="lab-asleep">An explorer stands here.</p>'}),
        output("display_data", data=widget),
        output("execute_result", data={"text/plain": f"{tmp_path}/b"}),
    )
    text, explore, result = normalised(cell)
    assert text.text == "one\n<f> in ./a.py\n"
    assert explore.data["text/plain"] == EXPLORE and EXPLORE in explore.data["text/html"]
    assert not any("widget" in kind for kind in explore.data)
    assert result.data["text/plain"] == "./b"


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        (nbformat.v4.new_markdown_cell("![](a.png)"), "cell 1 shows an image without alt text"),
        (nbformat.v4.new_markdown_cell('<img src="a.png">'), "cell 1 shows an image without alt text"),
        (code_cell(output("display_data", data={"image/png": "", "text/plain": "<Figure>"})), "cell 1 shows an image "),
        (
            code_cell(output("display_data", data={"text/html": '<img alt="" src="x">'})),
            "cell 1 shows HTML whose image ",
        ),
        (code_cell(output("error", ename="E", evalue="", traceback=[])), "cell 1 ends in an error"),
        (code_cell(output("display_data", data={"application/x-widget": "w"})), "cell 1 holds a widget"),
        (
            code_cell(output("stream", name="stdout", text="✗ 1.1 no\n")),
            "cell 1 shows an answer that its check rejects",
        ),
        (nbformat.v4.new_markdown_cell("x" * 300_000), "it has 300,"),
    ],
)
def test_what_a_reader_would_stumble_over_is_a_complaint(cell, complaint):
    (found,) = complaints(nbformat.v4.new_notebook(cells=[cell]))
    assert found.startswith(complaint)


def test_an_image_with_words_is_no_complaint():
    html = output("display_data", data={"text/html": '<img alt="chosen rises to 0.4" src="x">', "text/plain": "x"})
    cells = [code_cell(html), nbformat.v4.new_markdown_cell("![a plot](a.png) <img alt='b' src='b.png'>")]
    assert not list(complaints(nbformat.v4.new_notebook(cells=cells)))


# Jupyter's own client warns about its event loop and its ports; that is not ours to mend.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning", "ignore::ResourceWarning")
def test_a_notebook_is_run_and_a_cell_that_raises_or_warns_is_an_error(tmp_path):
    good = built(SOURCE.replace("from lab.course import check", "check = print"), solutions=True)
    execute(good, tmp_path)
    shown = [cell.outputs for cell in good.cells if cell.cell_type == "code"]
    assert shown[-1][0].text == "done\n" and "widgets" not in good.metadata
    assert set(good.metadata["language_info"]) == {"name", "file_extension", "mimetype"}
    for line, message in (
        ("1 / 0", r"A cell does not run\. .*ZeroDivisionError"),
        (
            "import sys\nprint('careful', file=sys.stderr)",
            r"The cell .import sys.* warns: careful\n Mend what it warns",
        ),
    ):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(line)])
        with pytest.raises(RuntimeError, match=re.compile(message, re.S)):
            execute(notebook, tmp_path)


class Requests(HTMLParser):
    """Collect what a browser would fetch from elsewhere."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        fetching = {"src", "srcset", "data", "poster"} | ({"href"} if tag != "a" else set())
        self.found += [
            value for name, value in attributes if name in fetching and not (value or "").startswith("data:")
        ]


def test_slides_ask_nothing_from_outside_and_hold_formulas_as_mathml():
    notebook = built()
    notebook.cells[-1].outputs = [output("stream", name="stdout", text="a < b\n")]
    page = slides_of(notebook)
    seen = Requests()
    seen.feed(page)
    assert seen.found == [] and not re.search(r"url\(|@import|https?://(?!www\.w3\.org/1998/Math/MathML)", page)
    formulas = re.findall(r"<math.*?</math>", page, re.S)
    assert len(formulas) == 2 and "$" not in re.sub(r"<(math|script|style).*?</\1>", "", page, flags=re.S)
    for each in formulas:
        assert ElementTree.fromstring(each).tag.endswith("math")
    assert "<title>A notebook</title>" in page and "<table>" in page and "a &lt; b" in page
    assert page.count("<section") == page.count("</section>") == 2


def test_a_code_cell_with_the_tag_begins_a_slide_under_the_running_heading():
    new = nbformat.v4
    cells = [new.new_markdown_cell("# One\n\n## Guess"), new.new_code_cell("answer"), new.new_code_cell("more")]
    for tags, expected in (([], [0, 1, 1]), (["slide"], [0, 1, 2])):
        cells[1].metadata = {"tags": tags}
        page = slides_of(new.new_notebook(cells=cells))
        sections = page.split("<section")[1:]
        assert len(sections) == expected[-1] + 1
        assert [
            next(k for k, each in enumerate(sections) if word in each) for word in ("One", "Guess", "answer")
        ] == expected
    assert '<p class="running">Guess</p>' in sections[-1] and "more" in sections[-1]


def test_a_slide_that_would_not_fit_goes_on_on_the_next_under_its_heading():
    lines = "\n\n".join(["A line of text."] * 8)
    source = "\n".join(f"# {line}".rstrip() for line in f"## Long\n\n{lines}".splitlines())
    more = "\n".join(f"# {line}".rstrip() for line in lines.splitlines())
    notebook = assemble("s.py", read_source(f"# %% [markdown]\n{source}\n# %% [markdown]\n{more}\n", "s.py"), {})
    page = slides_of(notebook)
    assert page.count("<section") == 2 and page.count('<p class="running">Long</p>') == 1


@pytest.mark.parametrize(
    "latex",
    [
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\log \sigma\left(\beta \log \frac{\pi_\theta(y^+)}{\pi_{\text{ref}}(y^+)}\right)",
        r"\max_\pi \; \mathbb{E}_{y \sim \pi}[r(y)] - \beta\, \mathrm{KL}(\pi \,\|\, \pi_{\mathrm{ref}})",
        r"\hat\pi \propto \tilde{x} \neq \infty, \quad \underbrace{a + b}_{c} \in \mathbb{R}^n",
        r"x < y \;\&\; y > z",
    ],
)
def test_a_formula_becomes_wellformed_mathml(latex):
    root = ElementTree.fromstring(formula(latex, block=True))
    assert root.attrib["display"] == "block" and "\\" not in "".join(root.itertext())


def test_a_formula_that_cannot_be_written_is_an_error_that_shows_it():
    with pytest.raises(ValueError, match=r"The formula '.*frac\{1' cannot be written as MathML .* simpler commands\."):
        formula(r"\frac{1")


def test_code_in_prose_keeps_its_dollars():
    assert "<math" not in prose("`$x$` and\n\n```\n$y$\n```\n") and "<math" in prose("$x$")


def test_slides_take_the_outputs_of_the_committed_notebook(tmp_path):
    executed, fresh = built(), built()
    executed.cells[-1].outputs = [output("stream", name="stdout", text="done\n")]
    write(executed, tmp_path / "a.ipynb")
    with_outputs(fresh, tmp_path / "a.ipynb")
    assert fresh.cells[-1].outputs[0].text == "done\n"
    with_outputs(fresh, tmp_path / "none.ipynb")


def test_a_difference_shows_what_a_student_wrote_and_nothing_else():
    assert not list(differences(built(), built()))
    lines = list(differences(built(), built(solutions=True)))
    removed = [line for line in lines if line.startswith("-") and not line.startswith("---")]
    assert removed == ['-    raise NotImplementedError("exercise 1.1")']
    assert "+    return shifted / shifted.sum()" in lines
    assert as_text(built())[:2] == ["# %% [markdown]", "# # A *notebook*"]
