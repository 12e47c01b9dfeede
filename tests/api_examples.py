"""The examples of the API's description: what each route is sent, and what a manager answers.

`python -m tests.api_examples` asks a manager over simulated nodes, and writes cube/api/examples.json.
"""

import json
from typing import Any

from cube.api.examples import FILE
from cube.api.schema import JOB_FILE
from cube.api.stream import sse
from tests.build import job
from tests.stage import BOOK_EVENT, TASK, run, staged
from tests.test_api import ENDLESS, TABLE, Answer, Api, api_over

BATCH = "job: report\ntype: parameterized\nparameters: {required: [day]}\ngroups: {main: {image: 'app:1'}}\n"
BODIES: dict[str, Any] = {
    "POST /api/v1/jobs": {"source": JOB_FILE, "file": "jobs/web.yml", "variables": {"tag": "2"}},
    "POST /api/v1/parse": {"source": JOB_FILE, "file": "jobs/web.yml"},
    "POST /api/v1/plan": {"source": JOB_FILE, "file": "jobs/web.yml"},
    "POST /api/v1/jobs/{name}/scale": {"counts": {"main": 3}},
    "POST /api/v1/jobs/{name}/rollback": {"version": 1},
    "POST /api/v1/jobs/{name}/dispatch": {"values": {"day": "2026-11-21"}},
    "POST /api/v1/jobs/{name}/maintenance": {"retry_after": 600.0},
    "POST /api/v1/nodes/{name}/drain": {"deadline": 600.0, "leave_data": True},
    "POST /api/v1/simulate": {"lose": ["node3"], "scale": {"shop/main": 3}},
    "POST /api/v1/move": {"task": "shop/main[0]", "node": "node3"},
    "POST /api/v1/rebalance": {"max_moves": 5, "min_gain": 0.1},
    "POST /api/v1/tokens": {"name": "ci", "role": "operate", "expires_in": 604_800.0},
    "POST /tasks": BOOK_EVENT,
}
"""What each route is sent; the others that take a body: how long they may take."""

SENT: dict[str, dict[str, Any]] = {
    "PUT /api/v1/nodes/{node}/volumes/{volume}/content": {
        "body": "tar",
        "answer": {
            "actor": "token admin", "began": 1795295236.6, "ended": None, "error": None, "exit_code": None,
            "id": "8c1f0d1e-2f0b-4c55-9a51-0c5a6fd1a8f4", "job": None, "steps": 0, "summary": "",
            "what": "restore shop-data on node1",
        },
    }
}  # fmt: skip
"""What is sent that is no JSON, and what that is answered."""

WAITS = {"timeout": 300.0, "lock_wait": 10.0}
EVENT = {
    "number": 7, "at": 1795281244.7, "task": "", "slot": {"job": "", "group": "", "index": 0}, "version": 0,
    "source": None, "target": None, "node": "node1", "reason": "cordoned", "actor": "token ann", "detail": {},
}  # fmt: skip


def main() -> None:
    """Ask, and write down what was sent and answered."""
    with staged() as stage, api_over(stage) as api:
        stage.manager.deploy(job("shop", 2, min_healthy_time=0.0), run())
        stage.machines["node1"].volumes.content["shop-data"] = b"tar"
        api.done(api.ask("POST", "/api/v1/jobs", {"source": BATCH}))
        found = {f"{method} {path}": asked(api, method, path) for method, path in sorted(TABLE, key=late)}
    known = json.loads(FILE.read_text())  # what cannot be asked of these jobs keeps the answer that it has
    found = {route: known.get(route, {}) | parts for route, parts in found.items()}
    FILE.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


def late(route: tuple[str, str]) -> tuple[bool, bool, bool, bool, str]:
    """First what only supposes, then what makes something and what shows it, last what takes it away.

    The job goes at the very end: everything else is asked of it, or of its tasks.
    """
    method, path = route
    takes_away = method == "DELETE" or path.endswith("/remove")
    return takes_away and "/jobs/" in path, takes_away, method == "GET", not path.endswith("/simulate"), path


def asked(api: Api, method: str, path: str) -> dict[str, Any]:
    """What the route is sent, and what it answers, shortened."""
    if path == ENDLESS:
        return {"answer": sse(EVENT, identity=7)}
    route = f"{method} {path}"
    if method == "PUT":
        return SENT[route]
    body = BODIES.get(route, WAITS) if method == "POST" and not path.endswith("cordon") else None
    answer = api.ask(method, filled(api, path), body)
    sent = {} if body is None else {"body": body}
    return sent | ({"answer": shortened(answer)} if answer.status in (200, 201, 202) else {})


def filled(api: Api, path: str) -> str:
    """The path with names that there are."""
    (task, *_) = (task for task in api.stage.store.current_tasks() if task.slot.job == "shop")
    identity = task.id if path.startswith("/api/v1/tasks") else TASK
    if "/operations/" in path:
        identity = api.desk.operations.all()[0].id
    name = next((known for part, known in NAMES.items() if part in path), "shop")
    places = {
        "{name}": name,
        "{id}": identity,
        "{job}": "shop",
        "{node}": "node1",
        "{question}": "rollouts",
        "{volume}": "shop-data",
    }
    for place, text in places.items():
        path = path.replace(place, text)
    return path


NAMES = {"/nodes/": "node1", "/tokens/": "ci", "/dispatch": "report"}


def shortened(answer: Answer) -> Any:
    """The answer without a token that could be used, and two of a list."""
    if "json" not in answer.headers["content-type"] or "ndjson" in answer.headers["content-type"]:
        return "".join(answer.text.splitlines(keepends=True)[:12])
    data = answer.data
    if isinstance(data, dict) and "token" in data:
        return data | {"token": "cube_..."}
    return data[:2] if isinstance(data, list) else data


if __name__ == "__main__":
    main()
