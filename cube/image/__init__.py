"""Images without a registry: from the operator's own engine, by layers, into what a node's engine loads."""
