"""What checkpoints are measured by: attacks and all else that an evaluation may do. No torch."""
