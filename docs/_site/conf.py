"""Configuration of Sphinx; build.py lays out the pages and calls it."""

from importlib.metadata import version as _version

project = "CrystalNet"
author = "The CrystalNet developers"
copyright = author
version = release = _version("ase-crystalnet")

extensions = ["myst_nb", "sphinx.ext.autodoc", "numpydoc"]
exclude_patterns = ["_build"]
# Anchors as code hosts make them from headings, so that links hold on both.
myst_heading_anchors = 5
myst_links_external_new_tab = False
nb_execution_mode = "off"  # tests/docs/test_tutorial.py runs them; the site shows what is committed
nb_merge_streams = True

autodoc_typehints = "none"  # types and shapes stand in the docstrings
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
# Docstrings are read by people in an editor first: their marks need not be perfect markup.
# `myst.header`: headings of notebooks begin where their cells begin.
suppress_warnings = ["docutils", "myst.header"]

html_theme = "furo"
html_title = f"CrystalNet {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
pygments_style = "tango"
pygments_dark_style = "monokai"

linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_anchors = False
