"""What a reader is shown of results: an experiment's report, the leaderboard, transfers, progress. No torch."""
