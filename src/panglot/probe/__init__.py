"""Questions that English answers and another language does not, and changes that make more of them.

Carried over from questions for language models (2505.18673) to retrieval.
"""

from __future__ import annotations

from panglot.probe.changes import CHANGES, Change, Versions
from panglot.probe.parallel import Parallel, parallel
from panglot.probe.probing import Probe, probe
from panglot.probe.standing import Standing, standing

__all__ = ["CHANGES", "Change", "Parallel", "Probe", "Standing", "Versions", "parallel", "probe", "standing"]
