"""Where a manager works that is somewhere else, as a value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cube.manager.bound import Source
from cube.model.codec import from_data, to_data
from cube.model.job import Job
from cube.model.node import Cluster
from cube.remote.link import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteOffice:
    """Where a manager works that is somewhere else.

    `engine` is the socket of this machine's own, `sources` are the job files that were read, by job.
    """

    link: Link
    cluster: Cluster
    scheduler: str
    engine: str
    sources: dict[str, Source] = field(default_factory=dict)

    def read_job(self, text: str, file: str, variables: Mapping[str, str], environ: Mapping[str, str]) -> Job:
        """The job that the manager makes of that file. Raises InputError as `parse` does.

        Of the environment only what the text names is sent.
        """
        words = set(re.findall(r"\w+", text))
        named = {name: value for name, value in environ.items() if name in words}
        return self.read_source(Source(source=text, file=file, variables=variables, environment=named))

    def read_source(self, source: Source) -> Job:
        """The job that the manager makes of a file that is sent as it was before. Raises as `read_job`."""
        job = from_data(Job, self.link.post("/parse", to_data(source)))
        self.sources[job.name] = source
        return job
