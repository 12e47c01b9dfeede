"""Making a token: the one moment in which it is known in full."""

import secrets
import time

from cube.model.token import PREFIX, Token, digest_of, named
from cube.store.store import Store


def make_token(store: Store, name: str, role: str, *, good_for: float, actor: str) -> str:
    """A new token of 256 random bits, good for so many seconds; only its hash is kept.

    Raises InputError for a name or a role that is none, and for a name that is taken.
    """
    kept_name, kept_role = named(name, role)
    text, now = PREFIX + secrets.token_urlsafe(32), time.time()
    store.put_token(
        Token(
            name=kept_name,
            role=kept_role,
            digest=digest_of(text),
            created_at=now,
            expires_at=now + good_for,
            actor=actor,
        )
    )
    return text
