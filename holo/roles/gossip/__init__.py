"""Gossip: records put into any peer reach all, and what peers sign is held against each other."""
