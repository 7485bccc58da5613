"""The page: a client of the public API in the browser, served as the files that lie here.

`views/` has the frame and a template per view, `static/` a module per view, `api.js`, which alone speaks to the API,
and one stylesheet. Nothing is built, and nothing in them is a user's.
"""
