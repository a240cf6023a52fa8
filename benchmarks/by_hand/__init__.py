"""What people write by hand: a plain Django project whose settings name a database for each tenant, and a loop.

It has Silo's apps, models and migrations, and nothing of Silo's routing.
"""
