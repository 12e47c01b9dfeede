"""Before a deploy: the images that a job says how to build, built by this machine's own engine."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from cube.cli import render
from cube.cli.reach import Place
from cube.errors import CubeError, InputError
from cube.model.image import is_exact
from cube.model.job import Build, Job

STDERR = 2
"""Its descriptor."""


def build(job: Job, folder: Path, place: Place) -> None:
    """Build each image of the job once, with the `docker` command: its caches, .dockerignore and BuildKit.

    `folder` is the job file's. What the build says goes to standard error. Raises InputError for what cannot
    be built, CubeError where a build fails: nothing was touched then.
    """
    builds = {group.spec.image: group.build for group in job.groups if group.build is not None}
    for image, how in builds.items():
        environment = {**os.environ, "DOCKER_HOST": f"unix://{place.engine}"}
        render.note(f"building {image} from {how.context}")
        _run(image, argv(image, how, folder), environment)


def argv(image: str, how: Build, folder: Path) -> list[str]:
    """The words of the command. Raises InputError for a name that no build can give, and for no folder."""
    context = folder / how.context
    if is_exact(image):
        why = "a digest or an id is not given, it comes of the bytes"
        raise InputError(f"{image!r} cannot be built", why=why, cure="Write a name with a tag.")
    if not context.is_dir():
        raise InputError("there is nothing to build from", where=str(context), why="it is no folder")
    words = ["docker", "build", "--tag", image]
    words += ["--file", str(context / how.dockerfile)] if how.dockerfile else []
    words += ["--target", how.target] if how.target else []
    words += [word for name, value in how.args.items() for word in ("--build-arg", f"{name}={value}")]
    return [*words, "--", str(context)]


def _run(image: str, words: list[str], environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - words, and no shell
            words, env=environment, stdin=subprocess.DEVNULL, stdout=STDERR, check=False
        )
    except OSError as error:
        why = f"the command docker cannot be run: {error.strerror or error}"
        raise CubeError(f"{image} cannot be built", why=why, cure="Install it, or build elsewhere.") from None
    if done.returncode != 0:
        why = f"docker build exited with {done.returncode}"
        raise CubeError(f"{image} cannot be built", why=why, cure="See above. Nothing was changed.")
