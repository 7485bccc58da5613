"""Requests before the app sees them, and answers when it has let go of them: connections, bounds, turns."""
