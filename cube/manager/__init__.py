"""The loop: observe, plan, act, record. Nothing in this room decides where a task goes."""
