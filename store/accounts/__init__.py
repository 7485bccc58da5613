"""Who may do what, and how much each has: tokens, sessions, owners, quotas, and the list of who did what."""
