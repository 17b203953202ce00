"""Configuration of the documentation: `make docs` builds it into docs/_build/html."""

from importlib import metadata

project = "trajlm"
author = "The trajlm developers"
copyright = "The trajlm developers"
release = metadata.version("trajlm")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "gallery",
    "download_all_examples": False,
    "show_memory": False,
    "copyfile_regex": "",
}
myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]
# Pages are read in the repository, too, where a link may lead to a file that is no page.
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = f"trajlm {release}"
html_theme_options = {"navigation_with_keys": True}
