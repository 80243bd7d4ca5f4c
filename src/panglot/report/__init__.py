"""Figures in, tables and pages out."""

from panglot.report.curves import from_log
from panglot.report.html import to_html, write_html
from panglot.report.markdown import to_markdown
from panglot.report.terminal import print_comparison, print_evaluation

__all__ = ["from_log", "print_comparison", "print_evaluation", "to_html", "to_markdown", "write_html"]
