"""What a user of Fabric has set for all hosts: `~/.fabric.yml` and its siblings, read by Fabric itself."""

from dataclasses import dataclass
from pathlib import Path

from cube.errors import InputError

SUFFIXES = (".yaml", ".yml", ".json", ".py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What holds where neither the inventory nor ssh_config decides. None: Fabric has no say either."""

    user: str | None = None
    port: int | None = None
    identities: tuple[str, ...] = ()


def read_defaults(home: Path | None) -> Defaults:
    """The defaults in the `.fabric.*` files of that folder, or none where there is no such file.

    Fabric takes 40 ms to load, which only those pay who have one. Raises InputError for a broken one.
    """
    if home is None or not any((home / f".fabric{suffix}").exists() for suffix in SUFFIXES):
        return Defaults()
    from fabric import Config  # noqa: PLC0415 - see above

    said = Config(user_prefix=f"{home}/.", lazy=True)
    try:
        said.load_user()
    except Exception as error:  # noqa: BLE001 - Fabric raises whatever its YAML, JSON or Python reader does
        raise InputError(
            "cannot use the Fabric configuration", where=f"{home}/.fabric", why=str(error)
        ) from None
    named = said.connect_kwargs.get("key_filename") or ()
    return Defaults(
        user=said.user, port=said.port, identities=(named,) if isinstance(named, str) else tuple(named)
    )
