"""These tests do no I/O: a test that does fails, and the failure names the I/O."""

from support.purity import pytest_make_collect_report, pytest_runtest_call, pytest_runtest_setup

__all__ = ["pytest_make_collect_report", "pytest_runtest_call", "pytest_runtest_setup"]
