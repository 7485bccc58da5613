"""Work on what users send, in processes of their own: bounded in time and memory, ended when nobody waits for it.

`processes` starts and asks them, from the API; `bounds` is what each of them runs; `decoding` and `importing` are what
they do.
"""
