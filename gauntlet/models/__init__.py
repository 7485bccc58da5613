"""Networks, the precision they compute in, and their weights in files."""
