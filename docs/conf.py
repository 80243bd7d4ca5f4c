"""Configure the documentation site. ``make docs`` builds it into ``site/`` and fails on every warning."""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

project = "panglot"
author = "panglot's contributors"
project_copyright = f"{author}, Apache-2.0"
release = re.findall(r'(?m)^__version__ = "(.+)"', (HERE.parent / "src/panglot/_environment.py").read_text("utf-8"))[0]
repository_url = "https://github.com/panglot/panglot"

extensions = ["myst_parser", "api_reference", "repository_links"]
exclude_patterns = ["_ext"]
templates_path = ["_templates"]

# Markdown as GitHub reads it: every heading is an anchor, and a block without a language is plain text.
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 6
highlight_language = "text"

api_package = "panglot"
api_leave_out = ("cli",)  # the reference of commands is a page of its own

# Every cross reference into panglot must lead somewhere. Names of other libraries are shown as text, because a link to
# their documentation would need the network in every build.
nitpicky = True
# Pygments knows less of SQL than PostgreSQL does.
suppress_warnings = ["misc.highlighting_failure"]
default_role = "literal"
maximum_signature_line_length = 100
toc_object_entries_show_parents = "hide"

html_theme = "pydata_sphinx_theme"
html_title = "panglot"
html_theme_options = {
    "github_url": repository_url,
    "navbar_center": [],
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "use_edit_page_button": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc", "edit-this-page"],
}
html_context = {"github_user": "panglot", "github_repo": "panglot", "github_version": "main", "doc_path": "docs"}
html_sidebars = {"**": ["all-pages.html"]}
html_copy_source = False
html_show_sourcelink = False
