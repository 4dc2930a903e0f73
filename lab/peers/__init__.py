"""Peers: the lab's objectives against the stored losses and gradients of another library."""

from lab.peers.comparing import Absent, Agreement, Parity, parity

__all__ = ["Absent", "Agreement", "Parity", "parity"]
