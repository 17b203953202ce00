"""The report of a comparison: one self-contained page, and all its numbers in one file."""

from __future__ import annotations

from trajlm.report.gallery import save_figures
from trajlm.report.notebook import first_figures
from trajlm.report.results import load_results
from trajlm.report.save import save_report

__all__ = ["first_figures", "load_results", "save_figures", "save_report"]
