"""Roles: trio objects with one owner each, started by :mod:`holo.node`, independent of each other."""
