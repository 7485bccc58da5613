"""The page as pictures and how fast it is, and what else is drawn for the documents."""
