"""A tenant app of the tests: one small table, whose migrations tests extend as they need."""
