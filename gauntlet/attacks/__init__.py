"""What changes an image so that a network takes it for something else."""
