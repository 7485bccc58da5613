"""What evaluations found, how sure that is, and whether it can be believed: values and sums. No torch."""
