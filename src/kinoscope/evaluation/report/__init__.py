"""Saved evaluations as one page and one text: tables, intervals, curves, tests, what differs."""

from kinoscope.evaluation.report.writing import write_report as write_report
