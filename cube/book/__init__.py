"""Pure: the tasks of the wire format of Boring's book, and the jobs that they become."""
