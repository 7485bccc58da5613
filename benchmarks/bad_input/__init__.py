"""What generated and hostile requests do to a service."""
