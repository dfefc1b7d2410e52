"""The documentation: ``python -m sphinx -W --keep-going -b html docs docs/_build/html``, offline and without data sets.

Figures come from `docs/results.md` and the READMEs of `benchmarks/`, which are included, not copied.
"""

import re

import truesparse

project = "truesparse"
author = "The truesparse developers"
copyright = author
version = release = truesparse.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_parser",
    "sphinx_gallery.gen_gallery",
    "matplotlib.sphinxext.plot_directive",
]
exclude_patterns = ["_build", "auto_examples/**/*.ipynb", "auto_examples/**/*.py", "examples.rst"]
templates_path = ["_templates"]
default_role = "py:obj"  # `Name` in a docstring links to it, where the reference has it
toc_object_entries = False
python_maximum_signature_line_length = 80
python_display_short_literal_types = True

autosummary_generate = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"  # types stand in the docstrings, with shapes
numpydoc_show_class_members = False

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # an included part of another page begins with headings of its own level

mathjax4_config = {"tex": {"macros": {"nnz": r"\mathrm{nnz}"}}}

html_theme = "furo"
html_title = f"truesparse {version}"
html_static_path = ["_static"]
html_css_files = ["looks.css"]
html_theme_options = {"light_css_variables": {"code-font-size": "75%"}}

plot_formats = [("png", 120)]
plot_html_show_formats = plot_html_show_source_link = False
plot_include_source = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    # Shown but not run here. CI runs them elsewhere: 01 trains a dense network for a minute, 02 needs Madelon, and 07
    # and 16 kill processes; 15 needs mpiexec.
    "filename_pattern": r"/(?!01_|02_|07_|15_|16_)\d\d_",
    "ignore_pattern": r"readme_picture\.py",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "min_reported_time": 1e9,
    "show_memory": False,
}


PAGES = {
    "benchmarks/speed/README.md": "benchmarks/speed.md",
    "benchmarks/study/README.md": "benchmarks/study.md",
    "speed/README.md": "benchmarks/speed.md",  # from benchmarks/README.md
    "study/README.md": "benchmarks/study.md",
    "stress/README.md": "benchmarks/stress.md",
    "benchmarks/results/methods/report.md": "study.md",
    "CONTRIBUTING.md": "contributing.md",
    "docs/guide/convolutions.md": "guide/convolutions.md",  # this and the next from README.md
    "docs/guide/mlpclassifier.md": "guide/mlpclassifier.md",
    "SECURITY.md": "security.md",
}


def equations(lines):
    """Indented lines below prose are equations, whose lines stay as they are."""
    made = []
    for number, line in enumerate(lines):
        above = next((other for other in reversed(made) if other.strip()), " ")
        if line.startswith("    ") and not lines[number - 1].strip() and not above.startswith((" ", "..")):
            made += [] if above.endswith("::") else ["::", ""]
        made.append(line)
    return made


def bars(lines):
    """|w| is no substitution, except in code, in tables and in literal blocks."""
    made, margin = [], None  # of the block that is left alone
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if margin is not None and line.strip() and indent <= margin:
            margin = None
        if margin is None and not re.match(r"\s*(\|[\s-]|>>>|\.\.\. )", line):
            made.append(re.sub(r"(`+[^`]*`+)|\|", lambda found: found[1] or r"\|", line))
            if line.endswith("::"):
                margin = indent
        else:
            made.append(line)
    return made


def tables(lines):
    """Markdown's tables, which docstrings have, as reStructuredText's."""
    made, rows = [], []
    for line in [*lines, ""]:
        if re.match(r"\s*\|.*\|\s*$", line):
            rows.append(line)
            continue
        if len(rows) > 1 and re.fullmatch(r"\s*\|[-:| ]+\|\s*", rows[1]):
            indent = re.match(r"\s*", rows[0])[0]
            made += [f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
            for row in [rows[0], *rows[2:]]:
                cells = row.strip().strip("|").split("|")
                made += [f"{indent}   {' ' if n else '*'} - {cell.strip()}" for n, cell in enumerate(cells)]
            made.append("")
        else:
            made += rows
        made, rows = [*made, line], []
    return made[:-1]


def adapt_docstring(app, what, name, obj, options, lines):
    """Make reStructuredText of a docstring, before numpydoc reads it."""
    lines[:] = tables(bars(equations(lines)))
    if getattr(obj, "__module__", "").startswith("sklearn"):
        lines[:] = [re.sub(r":ref:`([^<`]*?)\s*<[^`]*>`", r"\1", line) for line in lines]


def skip_member(app, what, name, obj, skip, options):
    """What scikit-learn gives every estimator is described there."""
    return True if name.endswith("_request") or name in ("get_metadata_routing", "set_output") else None


def adapt_included(app, relative_path, parent_docname, content):
    """Links between the files of the project lead to the pages that include them; a ± b is not broken in two."""
    for file, page in PAGES.items():
        content[0] = content[0].replace(f"]({file}", f"](/{page}")
    content[0] = content[0].replace(" ± ", "\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}")


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", adapt_docstring, priority=100)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("include-read", adapt_included)
