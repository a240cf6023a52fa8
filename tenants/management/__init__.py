"""What people type: arguments, output and exit codes. The work is done elsewhere."""
