"""Requests from outside: what a person writes of them, and what it becomes."""

from collections.abc import Collection
from typing import Annotated

from pydantic import BeforeValidator

from cube.model.ingress import Ingress, Tls
from cube.spec import demands, grammar
from cube.spec.key import Name, Switch, Written, key, nested, optional, scalar


class TimeoutsSchema(Written):
    """How long a proxy waits for a task."""

    connect: Annotated[float, scalar(grammar.duration("100ms", "1m"))] = key(
        "2s", "For it to accept; then another one is asked."
    )
    response: Annotated[float, scalar(grammar.duration("1s", "1d"))] = key(
        "30s", "For its answer, and for each further piece of it."
    )


class IngressSchema(Written):
    """Which requests from outside are the group's; a proxy's template lists them."""

    host: Annotated[list[Annotated[str, scalar(grammar.site)]], BeforeValidator(demands.one_or_many)] = (
        nested(
            list,
            "The name that is asked for, or a list; any, where none is written.",
            example="shop.example",
            limit=64,
        )
    )
    path: Annotated[str, scalar(grammar.site_path)] = key(
        "/", "Requests for this path, and for all below it."
    )
    port: Name | None = optional(
        "The group's port that they go to; its only one, by default.", example="http"
    )
    tls: Annotated[str, scalar(grammar.word("optional", "required", "acme"))] = key(
        "optional",
        "`required`: a plain request is sent on to https. `acme`: that, and the proxy gets a certificate for "
        "each host.",
    )
    hsts: Annotated[float, scalar(grammar.duration("0s", "730d"))] = key(
        "0s", "How long browsers are to come by TLS alone; 0s: they are told nothing.", example="365d"
    )
    sticky: Switch = key("false", "Who comes again gets to the same task while that serves: by a cookie.")
    timeouts: TimeoutsSchema = nested(
        TimeoutsSchema, "How long the proxy waits for a task.", example="{response: 2m}"
    )
    canary_weight: Annotated[int, scalar(grammar.whole(0, 100))] | None = optional(
        "The percentage of the requests that canaries get until somebody promotes them; by default as many "
        "as any other task.",
        example="5",
    )


def ingress_of(written: IngressSchema, ports: Collection[str]) -> Ingress:
    """What was written, to one of those ports of the group."""
    return Ingress(
        port=written.port or next(iter(ports)),
        hosts=tuple(dict.fromkeys(written.host)),
        path=written.path,
        tls=Tls(written.tls),
        hsts=written.hsts,
        sticky=written.sticky,
        connect=written.timeouts.connect,
        response=written.timeouts.response,
        canary_weight=written.canary_weight,
    )
