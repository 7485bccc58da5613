"""The documents as a site: what Sphinx is told, how it looks, and the reference that is read off the code."""
