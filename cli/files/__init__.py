"""The commands for what goes into a service and comes out of it as files."""
