"""Hooks: a job's own commands on the operator's machine, before and after a deploy."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from cube.errors import CubeError
from cube.model.job import Job

STDERR = 2
"""Its descriptor."""


def run_before(job: Job, cluster: str) -> None:
    """The job's command before a deploy. Raises CubeError where it fails: then nothing is touched."""
    _run(job.hooks.before, job, {"CUBE_HOOK": "before", "CUBE_CLUSTER": cluster})


def run_after(job: Job, cluster: str, *, succeeded: bool) -> None:
    """The job's command after a deploy, told how that went. Raises CubeError where it fails."""
    result = "succeeded" if succeeded else "failed"
    _run(job.hooks.after, job, {"CUBE_HOOK": "after", "CUBE_CLUSTER": cluster, "CUBE_RESULT": result})


def _run(argv: Sequence[str], job: Job, variables: Mapping[str, str]) -> None:
    """On this process's standard error, for the other end is the answer's; no shell reads the arguments."""
    if not argv:
        return
    about = {"CUBE_JOB": job.name, "CUBE_VERSION": str(job.version), **variables}
    what, where = f"the hook {variables['CUBE_HOOK']} the deploy failed", f"job {job.name}"
    try:
        status = _status_of(argv, {**os.environ, **about}, job.hooks.timeout)
    except subprocess.TimeoutExpired:
        why = f"{argv[0]} took longer than {job.hooks.timeout:.0f}s"
        raise CubeError(what, where=where, why=why, cure="Give it more time with hooks: timeout.") from None
    except OSError as error:
        why = f"{argv[0]} cannot be run: {error.strerror or error}"
        raise CubeError(what, where=where, why=why, cure="Name a program, with its path.") from error
    if status != 0:
        result = variables.get("CUBE_RESULT")
        cure = f"The deploy itself {result}." if result else "Nothing was changed."
        raise CubeError(what, where=where, why=f"{argv[0]} {_ended(status)}", cure=cure)


def _status_of(argv: Sequence[str], environment: Mapping[str, str], timeout: float) -> int:
    """How it ended. It is given a group of its own, so that nothing that it began outlives its time."""
    process = subprocess.Popen(  # noqa: S603 - the operator's own command, as a list
        argv, env=environment, stdin=subprocess.DEVNULL, stdout=STDERR, process_group=0
    )
    try:
        return process.wait(timeout)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise


def _ended(status: int) -> str:
    return f"exited with {status}" if status > 0 else f"was ended by {signal.Signals(-status).name}"
