"""Measurements side by side, run by `make bench`. Speed is a ratio from one run, never a timed test."""
