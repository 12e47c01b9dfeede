"""Cube: an orchestrator without agents. SSH and Docker on the nodes, one command for the operator."""

__version__ = "0.1.0"
