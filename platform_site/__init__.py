"""The composition root: settings, URLs, entry points, the embedded PostgreSQL. The only room that knows all the others.

Nothing imports from here, and no rule of the business lives here.
"""
