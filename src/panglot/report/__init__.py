"""Figures in, tables and pages out."""
