"""What a user wrote, as values: read strictly, within bounds, and told plainly where it is wrong. No torch."""
