"""A whole Gauntlet as one archive: what its rows say, and the files that they name.

```
database/<table>.jsonl   a row a line, of either database: what SQLite held may be restored into PostgreSQL
files/…                  checkpoints, training states, attacked pictures, uploaded data sets: as in the storage
secret.key               under which tokens are hashed
manifest.json            the last: which Gauntlet and schema it is of, and every other entry's sha256 and length
```
"""
