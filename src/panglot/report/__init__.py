"""Figures in, tables and pages out."""

from panglot.report.curves import from_log
from panglot.report.html import to_html, write_html
from panglot.report.text import print_report, print_table, to_markdown

__all__ = ["from_log", "print_report", "print_table", "to_html", "to_markdown", "write_html"]
