"""Stands for Silo's `tenant_data`, whose migrations it runs: its models import Silo, which is not installed here."""
