"""These tests do no I/O: one that does fails, and says with what."""

from support.purity import pytest_make_collect_report, pytest_runtest_call, pytest_runtest_setup

__all__ = ["pytest_make_collect_report", "pytest_runtest_call", "pytest_runtest_setup"]
