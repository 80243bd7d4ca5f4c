"""Figures in, tables and pages out."""

from panglot.report.contents import print_report, to_markdown
from panglot.report.curves import from_log
from panglot.report.html import to_html, write_html
from panglot.report.tables import print_table

__all__ = ["from_log", "print_report", "print_table", "to_html", "to_markdown", "write_html"]
