"""Pictures and models that users bring, worked on by processes beside the service."""
