"""What is put together of many rows each time it is read: reports, lists, the leaderboard, estimates."""
