"""Where contents are kept: once for each tenant and hash. Knows no table, and no name that a user typed."""
