"""The peer: a plain Django project on one database, with Silo's views, serializers, models, people and tokens.

Nothing of Silo's routing is in it: Django's own backend, no router, no middleware of ours, no guards on models.
"""
