"""What requests ask for beside specs. No torch."""
