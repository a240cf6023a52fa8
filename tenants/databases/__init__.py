"""What a tenant's database is made of: template, clone, roles and rights, Silo's own notes in it, its schema.

Decides nothing about which tenants are migrated when; that is `tenants.rollout`.
"""
