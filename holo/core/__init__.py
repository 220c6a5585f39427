"""Pure protocol: bytes in, decisions out.

Nothing in this package opens a file, a socket or a database, reads a clock or draws a random number.
Time, randomness and stored data are arguments, so every rule here can be replayed from its inputs alone.
"""
