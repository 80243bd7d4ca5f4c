"""Documents without questions become sections: HTML, Markdown, PO, XLIFF, tables."""
