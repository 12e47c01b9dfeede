"""An algorithm of one's own, as docs/scheduling.md shows it."""

from cube.scheduler.algorithms import Algorithm, ByFormula
from cube.scheduler.fit import Fit, Number


def roomiest(fit: Fit) -> Number:
    """The node on which the task leaves the largest share of memory free; CPU counts a tenth of that."""
    cpu, memory = fit.used()
    return 0.9 * (1 - memory) + 0.1 * (1 - cpu)


scheduler = Algorithm(ByFormula(roomiest))
