"""Runs from plan to audit: prepare, send, guard, settle and retain."""
