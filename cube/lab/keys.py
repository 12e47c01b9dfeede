"""SSH keys: one pair that the nodes accept, and one pair per node that they show."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """An ed25519 pair in OpenSSH's forms; `public` reads `ssh-ed25519 AAAA...`."""

    private: bytes = field(repr=False)
    public: str


def make_pair() -> KeyPair:
    """A fresh pair."""
    key = Ed25519PrivateKey.generate()
    return KeyPair(
        private=key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        public=key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode(),
    )


def keep_pair(path: Path) -> KeyPair:
    """The pair whose private half is at `path`; made, readable by its owner alone, where there is none."""
    if path.exists():
        return KeyPair(
            private=path.read_bytes(), public=" ".join(path.with_suffix(".pub").read_text().split()[:2])
        )
    pair = make_pair()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".pub").write_text(f"{pair.public} cube-lab\n")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pair.private)
    return pair
