"""Registering, logging in and out, and oneself, over HTTP."""
