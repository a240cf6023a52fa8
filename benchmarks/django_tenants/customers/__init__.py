"""Which tenants the peer has. In the shared schema."""
