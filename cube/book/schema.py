"""What a client of the book writes, and reads back of a task: Go's names, and no other field."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from cube.model.task import State as TaskState

ZERO = "0001-01-01T00:00:00Z"
"""Go's zero time: never."""

STATES: Mapping[TaskState, int] = {state: number for number, state in enumerate(TaskState)}
"""Pending 0, Scheduled 1, Running 2, Completed 3, Failed 4."""

RUN, STOP = STATES[TaskState.RUNNING], STATES[TaskState.COMPLETED]
"""What an event may ask for."""


def _asked(state: int) -> int:
    if state not in (RUN, STOP):
        raise ValueError(f"State {state} cannot be asked for; write {RUN} to run the task, {STOP} to stop it")
    return state


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("write one line, and no character that is not seen")
    return text


Identity = Annotated[UUID, Field(strict=False)]
Port = Annotated[str, Field(pattern=r"^\d{1,5}(/(tcp|udp))?$")]
Number = Annotated[str, Field(pattern=r"^\d{0,5}$")]
Asked = Annotated[
    int, AfterValidator(_asked), Field(examples=[RUN], json_schema_extra={"minimum": RUN, "maximum": STOP})
]


class Strict(BaseModel):
    """Unknown fields are refused, and values of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class BookTask(Strict):
    """A task as the book's clients write it, and read it back."""

    ID: Identity
    ContainerID: str = ""
    Name: Annotated[str, Field(max_length=200), AfterValidator(_one_line)] = ""
    State: Annotated[int, Field(ge=0, le=4)] = 0
    Image: Annotated[str, Field(min_length=1, max_length=512, examples=["strm/helloworld-http"])]
    Cpu: Annotated[float, Field(ge=0, le=1000)] = 0
    Memory: Annotated[int, Field(ge=0, le=2**50)] = 0
    Disk: Annotated[int, Field(ge=0, le=2**50)] = 0
    ExposedPorts: Annotated[dict[Port, dict[str, Any]] | None, Field(max_length=100)] = None
    HostPorts: dict[str, Any] | None = None
    PortBindings: Annotated[dict[Port, Number] | None, Field(max_length=100)] = None
    RestartPolicy: Annotated[str, Field(pattern="^(|no|always|unless-stopped|on-failure)$")] = ""
    StartTime: str = ZERO
    FinishTime: str = ZERO
    HealthCheck: Annotated[str, Field(max_length=1024)] = ""
    RestartCount: int = 0


class BookEvent(Strict):
    """What is to become of a task: `State` 2 to run it, 3 to stop it."""

    ID: Identity
    State: Asked
    Timestamp: str = ZERO
    Task: BookTask
