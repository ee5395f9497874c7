"""Scenarios and incidents by name, made ready to be explored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from emu.arch import PORTS
from emu.errors import EmuError, UnknownNameError
from emu.lab.explorer.incidents import INCIDENTS
from emu.lab.explorer.livepatching import LivepatchLaboratory
from emu.lab.explorer.orders import OWN, fits
from emu.lab.explorer.pokes import POKING, Poking
from emu.lab.explorer.poking import PokeLaboratory
from emu.lab.explorer.run import Laboratory
from emu.lab.explorer.scenarios import LIVEPATCHING, Livepatching
from emu.lab.explorer.world import World, boot
from emu.lab.incidents import FIXED, PREFIX, incident_names
from emu.ordering.models import Model

GROUPS: Mapping[str, tuple[str, ...]] = {
    "livepatch": tuple(LIVEPATCHING),
    "pokes": tuple(POKING),
    "all": (*LIVEPATCHING, *POKING),
}
"""Several scenarios under one name, for tables of what is needed."""


class DoesNotFitError(EmuError):
    """A scenario, a model and a port do not go together."""

    def __init__(self, what: str, port: str, fitting: str) -> None:
        super().__init__(f"{what} does not fit {port}; {fitting}")
        self.what, self.port = what, port


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """Something to explore.

    Args:
        name: as it was asked for.
        description: in a line.
        ports: where there is such a thing.
        subject: what happens.
        dropped: what is left out.
    """

    name: str
    description: str
    ports: tuple[str, ...]
    subject: Livepatching | Poking
    dropped: tuple[str, ...] = ()


def descriptions() -> dict[str, str]:
    """Return the scenarios there are, with what happens in each."""
    found = {name: scenario.description for name, scenario in LIVEPATCHING.items()}
    return found | {name: poking.description for name, poking in POKING.items()}


def named(name: str) -> Explored:
    """Return the scenario, or with ``incident:NAME`` or ``incident:NAME/fixed`` the incident, of that name.

    Raises:
        UnknownNameError: there is none.
        EmuError: the incident is one that is run, not explored.
    """
    if name.startswith(PREFIX):
        return _incident(name)
    if name in LIVEPATCHING:
        scenario = LIVEPATCHING[name]
        return Explored(
            name=name, description=scenario.description, ports=tuple(sorted(PORTS)), subject=scenario
        )
    if name in POKING:
        poking = POKING[name]
        return Explored(name=name, description=poking.description, ports=poking.ports, subject=poking)
    raise UnknownNameError(
        "scenario to explore", name, [*descriptions(), *(PREFIX + one for one in INCIDENTS)]
    )


def _incident(name: str) -> Explored:
    incident, slash, variant = name.removeprefix(PREFIX).partition("/")
    if incident in incident_names():
        raise EmuError(f"incident {incident!r} is run, not explored: klpemu run {PREFIX}{incident}")
    if incident not in INCIDENTS:
        raise UnknownNameError("incident to explore", incident, sorted(INCIDENTS))
    if slash and variant != FIXED:
        raise UnknownNameError("variant", variant, [FIXED])
    found = INCIDENTS[incident]
    return Explored(
        name=name,
        description=found.description,
        ports=found.ports,
        subject=found.fixed if slash else found.broken,
        dropped=() if slash else found.dropped,
    )


class Shelf:
    """Machines that have been booted, and scenarios that have been prepared on them.

    Args:
        cpus: dispatching CPUs of all of them.
    """

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self._worlds: dict[str, World] = {}
        self._laboratories: dict[tuple[str, str], Laboratory] = {}

    def laboratory(self, explored: Explored, arch: str) -> Laboratory:
        """Return a scenario on a port.

        Raises:
            UnknownNameError: there is no such port.
            DoesNotFitError: the port has no such thing.
        """
        if arch not in PORTS:
            raise UnknownNameError("arch", arch, sorted(PORTS))
        if arch not in explored.ports:
            raise DoesNotFitError(explored.name, arch, f"it is for {', '.join(explored.ports)}")
        key = explored.subject.name, arch
        if key not in self._laboratories:
            if arch not in self._worlds:
                self._worlds[arch] = boot(arch, self.cpus)
            world, subject = self._worlds[arch], explored.subject
            self._laboratories[key] = (
                PokeLaboratory(world, subject)
                if isinstance(subject, Poking)
                else LivepatchLaboratory(world, subject)
            )
        return self._laboratories[key]


def ports_for(wanted: str, ports: Iterable[str]) -> list[str]:
    """Return those of ``ports``, by name, whose code the model ``wanted`` is for; ``auto``: all of them."""
    return [port for port in sorted(ports) if wanted == "auto" or fits(Model(wanted), PORTS[port])]


def model_for(arch: str, wanted: str) -> Model:
    """Return the model of a name, ``auto`` being the port's own.

    Raises:
        DoesNotFitError: the model is not for that port's code.
    """
    model = OWN[arch] if wanted == "auto" else Model(wanted)
    if not fits(model, PORTS[arch]):
        raise DoesNotFitError(f"model {model.value}", arch, f"use sc or {OWN[arch].value}")
    return model
