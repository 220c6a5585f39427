"""Links between peers: who is at the other end, and whole frames both ways."""
