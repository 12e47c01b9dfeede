"""Behind `cube token create`: who makes the token, this machine or a manager."""

from cube.cli.office import actor
from cube.cli.reach import Place, recorded
from cube.manager.tokens import make_token
from cube.model.token import Role
from cube.remote.office import RemoteOffice


def made(place: Place, name: str, role: Role, good_for: float) -> str:
    """A new token, good for so many seconds. Raises InputError for a name that is taken."""
    if isinstance(place, RemoteOffice):
        asked = {"name": name, "role": role, "expires_in": good_for}
        return str(place.link.post("/tokens", asked)["token"])
    with recorded(place) as store:
        return make_token(store, name, role, good_for=good_for, actor=actor())
