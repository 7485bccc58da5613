"""The rows are the queue: whose turn a job is, who holds it and for how long, and what users ask of it meanwhile."""
