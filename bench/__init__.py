"""Benchmarks: a node with a million names beside its rivals, and gates that catch a regression (docs/benchmarks.md)."""
