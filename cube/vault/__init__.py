"""Secrets, from where they are kept to whoever may see them: never further."""
