"""LMDB behind small doors: what the node keeps, and the one way it is opened, read and committed."""
