"""What Sphinx is told. `python -m guide` runs it."""

from typing import Final

import gauntlet
from guide.places import CONFIGURATION

project = "Gauntlet"
version = release = gauntlet.__version__
copyright = "the authors of Gauntlet"  # noqa: A001  # Sphinx's name
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "guide.directives", "guide.outside"]

# Pages are Markdown as forges show it: a link to a heading names it as they do, and one to a file brings the file.
source_suffix = {".md": "markdown"}
myst_heading_anchors = 4
myst_fence_as_directive: Final[list[str]] = []

# Docstrings are plain text with `code` in it; what they say of arguments and errors stands in sections.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
add_module_names = False

html_theme = "guide"
html_theme_path = [str(CONFIGURATION / "themes")]
html_title = "Gauntlet"
html_show_sourcelink = html_copy_source = False
html_use_index = False
smartquotes = False
