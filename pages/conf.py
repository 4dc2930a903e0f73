"""How the site is built: Markdown and executed notebooks, formulas as MathML, and nothing from outside."""

from __future__ import annotations

from importlib.metadata import version as version_of

from docutils import nodes

from lab.course.building.slides import formula

project = "dpolab"
author = "the dpolab authors"
copyright = "the dpolab authors"
version = release = version_of("dpolab")
language = "en"

extensions = ["myst_nb"]
nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js = {}  # would be fetched from a server; the notebooks hold no widgets
myst_enable_extensions = ["amsmath", "dollarmath", "colon_fence"]
myst_heading_anchors = 4
myst_update_mathjax = False
# A claim's numbers stand two levels below its table; the executed notebooks name their kernel's language in full.
suppress_warnings = ["myst.header"]

html_theme = "furo"
html_title = "dpolab"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sourcelink = False
html_permalinks_icon = "#"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#005a8c", "color-brand-content": "#005a8c"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}


def _inline(translator, node):
    translator.body.append(formula(node.astext()))
    raise nodes.SkipNode


def _block(translator, node):
    translator.body.append(f'<div class="formula">{formula(node.astext(), block=True)}</div>')
    raise nodes.SkipNode


def setup(app):
    """Write formulas while building, so that no page needs a script for them."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
