"""Pictures as pixels: of every kind of file, within bounds, kept and told apart by what they show."""
