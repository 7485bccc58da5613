"""The `gauntlet` command and the supervisor of the embedded system."""
