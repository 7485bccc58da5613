"""Processes that end at a named place of the code, and what must be true whatever the place.

`tests.faults.places` names each place once; `test_matrix` and `test_uploads` end work in each, and `make faults` does
so hundreds of times with a whole system, on three seeds.
"""
