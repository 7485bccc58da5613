"""What happens in the process of a job: it is read, computed, kept alive, recorded and ended."""
