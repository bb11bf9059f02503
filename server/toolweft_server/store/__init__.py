"""What toolweft remembers: one database file. `store.store.Store` opens it; importing this package imports nothing.

`sources` is apart from the rest: it reads a small file beside the database with the standard library alone, for the
handshake.
"""
