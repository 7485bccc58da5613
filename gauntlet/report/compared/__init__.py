"""What is held against something else: other rows, other protocols, and what was published."""
