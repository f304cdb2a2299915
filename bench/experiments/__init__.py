"""What is measured: one module an experiment, each with its cases, its question and its gates."""

from typing import Final

from bench.experiments import burst, growth, ingress, knobs, latency, memory, throughput, trace
from bench.experiments.experiment import Experiment

ALL: Final[dict[str, Experiment]] = {
    one.name: one
    for one in (
        ingress.EXPERIMENT,
        throughput.EXPERIMENT,
        latency.EXPERIMENT,
        burst.EXPERIMENT,
        growth.EXPERIMENT,
        memory.EXPERIMENT,
        knobs.EXPERIMENT,
        trace.EXPERIMENT,
    )
}
"""Every experiment by its name, in the order in which they run."""
