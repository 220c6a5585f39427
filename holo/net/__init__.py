"""Links between nodes: TLS by the nodes' own keys, frames, pins and tickets (spec 8)."""
