"""An algorithm of one's own, as docs/scheduling.md shows it."""

from cube.scheduler.algorithms import Algorithm, ByFormula
from cube.scheduler.fit import Fit, Number


def roomiest(fit: Fit) -> Number:
    """The node on which the task leaves the largest share of memory free; CPU counts a tenth of that."""
    return 0.9 * (1 - fit.memory()) + 0.1 * (1 - fit.cpu())


scheduler = Algorithm(ByFormula(roomiest))
