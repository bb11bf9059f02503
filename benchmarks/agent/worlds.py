"""Which worlds there are, by the name on the command line of `benchmarks.agent.serve`."""

from __future__ import annotations

from pathlib import Path

from benchmarks.agent.world import World

ROOMS = ("message_decoder", "dna_sequencer", "trade_calculator", "travel_itinerary_planning", "web_browsing")
"""Of M3ToolEval, by the names of upstream's modules."""


def open_world(name: str, checkout: str = "") -> World:
    """
    Raises:
        SystemExit: There is no such world.

    """
    if name == "films":
        from benchmarks.agent.films import Films

        return Films()
    if name == "music":
        from benchmarks.agent.music import Music

        return Music()
    if name == "bank":
        from benchmarks.agent.apibank import Bank

        return Bank(Path(checkout))
    if name == "bfcl":
        from benchmarks.agent.bfcl import Errands

        return Errands(Path(checkout))
    if name in ROOMS:
        from benchmarks.agent.m3tooleval import Room, Upstream

        return Room(name, Upstream(Path(checkout)))
    raise SystemExit(f"there is no world {name!r}; there are films, music, bank, bfcl, {', '.join(ROOMS)}")
