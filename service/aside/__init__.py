"""Work in processes of their own, on what users send and on very many rows.

Each is bounded in time and memory, and ended when nobody waits for it. `processes` starts and asks them, from the API;
`bounds` is what each of them runs; `decoding`, `importing`, `classifying` and `reporting` are what they do.
"""
