"""Who people are: users, and how they sign in. Nothing here knows what a tenant is."""
