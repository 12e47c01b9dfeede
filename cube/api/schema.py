"""What a request may hold. Unknown keys are refused."""

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cube.errors import InputError
from cube.image.recipe import Recipe
from cube.model.maintenance import RETRY_AFTER
from cube.model.token import LONGEST

JOB_FILE = "job: web\ngroups:\n  web:\n    count: 2\n    image: nginx:1.27\n"
MAX_COUNT = 10_000
MAX_SOURCE = 1 << 18
MAX_TIMEOUT = 86_400.0
MAX_KEPT = 3_650 * 86_400.0

B = TypeVar("B", bound=BaseModel)

Name = Annotated[str, Field(max_length=255)]
Variables = Annotated[dict[Name, Annotated[str, Field(max_length=65_536)]], Field(max_length=1_000)]
Timeout = Annotated[float, Field(gt=0, le=MAX_TIMEOUT, description="Seconds after which it is given up.")]


class Body(BaseModel):
    """What all of them share: a value of another type is refused, not turned into one that fits."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Waits(Body):
    """How long an operation may take, and how long it may wait for another Cube that is at work."""

    timeout: Timeout = 300.0
    lock_wait: Annotated[float, Field(ge=0, le=3_600.0)] = 0.0


class Source(Body):
    """A job file: its text, what it is called in messages, and the values of its variables."""

    source: Annotated[str, Field(max_length=MAX_SOURCE, examples=[JOB_FILE])]
    file: Annotated[str, Field(max_length=1_000, examples=["jobs/web.yml"])] = "job"
    variables: Variables = {}
    environment: Annotated[Variables, Field(description="What `env` holds in its templates.")] = {}
    templates: Annotated[
        Variables, Field(description="The texts of the files that its groups' `templates` name.")
    ] = {}


class Submission(Source, Waits):
    """A job file to be carried out. `expected`: what a plan said before, to be done so or not at all."""

    expected: Annotated[list[str], Field(max_length=100_000)] | None = None


class Scaling(Waits):
    """How many tasks each named group is to have."""

    counts: Annotated[
        dict[Name, Annotated[int, Field(ge=0, le=MAX_COUNT)]], Field(min_length=1, examples=[{"web": 3}])
    ]


class Return(Waits):
    """The version to go back to; none: the last one that had succeeded."""

    version: Annotated[int, Field(ge=1, le=2**31)] | None = None


class Dispatch(Waits):
    """The values of a parameterized job's parameters."""

    values: Variables = {}


class Maintaining(Waits):
    """So many seconds from now those who ask for the job are told to come back."""

    retry_after: Annotated[float, Field(ge=1, le=MAX_TIMEOUT)] = RETRY_AFTER


class Drain(Waits):
    """When a task without another place is stopped: so many seconds from now; none: never.

    `leave_data`: tasks may begin anew elsewhere, without what they have written; else that is refused.
    """

    deadline: Annotated[float, Field(ge=0, le=MAX_TIMEOUT)] | None = None
    leave_data: bool = False


class Moving(Waits):
    """A task by its name or id, and the node where it is to run.

    `with_data`: what is in its volumes goes along; so many seconds what it leaves is kept then.
    """

    task: Annotated[str, Field(max_length=512, examples=["web/main[2]"])]
    node: Annotated[Name, Field(examples=["node3"])]
    with_data: bool = False
    keep_old: Annotated[float, Field(ge=0, le=MAX_KEPT)] = 7 * 86_400.0


class Rebalancing(Waits):
    """At most so many moves, none for a smaller gain of the task's score."""

    max_moves: Annotated[int, Field(ge=1, le=1_000)] = 10
    min_gain: Annotated[float, Field(ge=0, le=1)] = 0.05


class Filling(BaseModel):
    """What an archive holds that a volume is filled from, as `cube volume backup -o json` tells it.

    `size` is that of its `files` in bytes, there the `content`. `replace`: what is in the volume may go.
    """

    model_config = ConfigDict(extra="forbid")

    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    files: Annotated[int, Field(ge=0, le=2**53)]
    size: Annotated[int, Field(ge=0, le=2**53)]
    replace: bool = False
    lock_wait: Annotated[float, Field(ge=0, le=3_600.0)] = 0.0


class Supposition(Body):
    """What is supposed: nodes that are lost, and counts of groups as `job/group`, or `job` of one."""

    lose: Annotated[list[Name], Field(max_length=10_000, examples=[["node3"]])] = []
    scale: Annotated[dict[Name, Annotated[int, Field(ge=0, le=MAX_COUNT)]], Field(max_length=1_000)] = {}


class Execution(Body):
    """A command for a task's container. `idle`: seconds without a byte after which it is left."""

    command: Annotated[list[Annotated[str, Field(max_length=1 << 17)]], Field(min_length=1, max_length=4_096)]
    input: bool = False
    terminal: bool = False
    idle: Annotated[float, Field(gt=0, le=3_600.0)] = 600.0


class Described(Body):
    """An image that a caller's engine has, as that describes it."""

    name: Annotated[str, Field(min_length=1, max_length=512)]
    id: Annotated[str, Field(max_length=128)]
    layers: Annotated[list[Annotated[str, Field(max_length=128)]], Field(max_length=1_000)]
    created: Annotated[str, Field(max_length=64)] = ""
    config: dict[str, Any] = {}

    @property
    def recipe(self) -> Recipe:
        """The same."""
        return Recipe(
            name=self.name, id=self.id, layers=tuple(self.layers), created=self.created, config=self.config
        )


class Offer(Described):
    """An image, and the nodes that are to have it."""

    nodes: Annotated[list[Name], Field(min_length=1, max_length=10_000)]


class Lending(Body):
    """Images that are lent."""

    images: Annotated[list[Described], Field(min_length=1, max_length=1_000)]


class Control(Body):
    """What is said to a command beside its input: that this has ended, or the size of its terminal."""

    end: bool = False
    rows: Annotated[int, Field(ge=0, le=10_000)] = 0
    columns: Annotated[int, Field(ge=0, le=10_000)] = 0


class NewToken(Body):
    """A token: what its holder may do, and for how many seconds it is good."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,64}$", examples=["ci"])]
    role: Annotated[str, Field(pattern="^(read|operate|admin)$", examples=["operate"])]
    expires_in: Annotated[float, Field(gt=0, le=LONGEST)] = 90 * 86_400.0


def read_message(kind: type[B], text: str | None) -> B:
    """What a websocket was sent as a text. Raises InputError for what is no such thing."""
    try:
        return kind.model_validate_json(text or "")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError("the message cannot be used", where=where, why=str(first["msg"])) from None
