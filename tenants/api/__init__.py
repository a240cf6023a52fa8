"""Tenants, their members and the fleet, over HTTP. Views parse, call one function and show the outcome."""
