"""The files are the list of figures."""

from __future__ import annotations

import pytest

from figures.machinery.discovery import choose, load, names
from tests import tiny_figures
from tests.tiny_figures import QUICK_LINE


@pytest.fixture
def folder(tmp_path):
    made = tiny_figures.write(tmp_path / "house", {"second": QUICK_LINE, "first": QUICK_LINE})
    for other in ("__init__.py", "__main__.py", "_draft.py", "layouts/__init__.py", "notes.txt"):
        (made / other).parent.mkdir(exist_ok=True)
        (made / other).touch()
    return made


def test_every_file_is_a_figure_and_nothing_else_is(folder):
    assert names(folder) == ["first", "second"]
    (folder / "third.py").touch()
    assert names(folder) == ["first", "second", "third"]


def test_figures_are_chosen_by_name_or_by_file(folder):
    assert choose((), folder) == ["first", "second"]
    assert choose(("second", "figures/second.py", "out/second.png"), folder) == ["second"]


def test_an_unknown_name_is_answered_with_the_nearest(folder):
    with pytest.raises(ValueError, match=r"there is no figure 'frist'. Did you mean first\? Figures: first, second."):
        choose(("frist",), folder)
    with pytest.raises(ValueError, match="there is no figure 'xyz'. Figures: first, second."):
        choose(("xyz",), folder)


def test_a_word_of_the_command_line_is_no_name(folder):
    (folder / "explain.py").touch()
    with pytest.raises(
        ValueError, match="a figure is called 'explain', which is a command of its own. Rename the file"
    ):
        names(folder)


@pytest.mark.parametrize(("text", "said"), [("", "no FIGURE"), ("FIGURE = 3", "a FIGURE of type int")])
def test_a_file_that_states_no_figure_is_told_how(folder, text, said):
    (folder / "first.py").write_text(text)
    with pytest.raises(
        TypeError, match=rf"first.py has {said}; a figure file ends with FIGURE = Figure\(title=.*layouts"
    ):
        load("first", folder)


def test_a_figure_is_read(folder):
    figure = load("first", folder)
    assert figure.title == "What first shows" and str(figure.experiments()["only"]) == QUICK_LINE
