"""Reads what a litmus test asks of its final states."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from emu.ordering.litmus.errors import LitmusError
from emu.ordering.litmus.source import Source

State = dict["Place", int | str]
Check = Callable[[State], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """A register, a location or a fault.

    Args:
        cpu: of a register or fault; -1: memory.
        name: of the register or symbol; of a fault all between its parentheses, without blanks.
        index: element of an array; -1: none.
        fault: whether it is one.
    """

    cpu: int
    name: str
    index: int = -1
    fault: bool = False

    @property
    def key(self) -> str:
        """Return how it is printed."""
        if self.fault:
            return f"Fault({self.name})"
        if self.cpu >= 0:
            return f"{self.cpu}:{self.name}"
        return f"[{self.name}]" if self.index < 0 else f"{self.name}[{self.index}]"


@dataclass(slots=True)
class Condition:
    """What is asked.

    Args:
        quantifier: ``exists``, ``~exists`` or ``forall``.
        places: of the condition and of ``locations``, each once.
        listed: those of ``locations``.
        text: of the condition.
        holds: whether a final state meets the condition.
        filters: whether a final state counts at all; None: each does.
    """

    quantifier: str
    places: list[Place] = field(default_factory=list)
    listed: frozenset[Place] = frozenset()
    text: str = ""
    holds: Check = lambda state: True
    filters: Check | None = None


_TOKEN = re.compile(
    r"""\s*(?:(?P<op>/\\|\\/|~|\(|\)|=>|<>|!=|=|\bnot\b|\band\b|\bor\b)
      | (?P<fault>[Ff]ault)\s*\(\s*(?P<args>[^()]*)\)
      | (?P<cpu>\d+)\s*:\s*(?P<register>%?[A-Za-z_]\w*)
      | \[\s*(?P<boxed>[A-Za-z_][\w.]*)\s*\]
      | (?P<string>(?:label|instr)\s*:\s*"[^"]*")
      | (?P<label>P\d+\s*:\s*\w+)
      | (?P<array>\{[^}]*\})
      | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|\d+))
      | \*?(?P<name>[A-Za-z_][\w.]*)(?:\s*\[\s*(?P<index>\d+)\s*\])?
      )""",
    re.VERBOSE,
)


def _negated(one: Check) -> Check:
    return lambda state: not one(state)


def _both(one: Check, two: Check) -> Check:
    return lambda state: one(state) and two(state)


def _either(one: Check, two: Check) -> Check:
    return lambda state: one(state) or two(state)


class _Parser:
    def __init__(
        self, source: Source, line: int, text: str, register: Callable[[str, int], str],
        value: Callable[[str, Place, int], int | str],
    ) -> None:  # fmt: skip
        self.source, self.line, self.text = source, line, text
        self.register, self.value = register, value
        self.at = 0
        self.places: list[Place] = []
        self.token: re.Match[str] | None = None
        self.advance()

    def here(self) -> int:
        return self.line + self.text.count("\n", 0, self.at)

    def fail(self, what: str) -> LitmusError:
        return LitmusError(self.source.path, self.here(), what)

    def advance(self) -> None:
        rest = self.text[self.at :]
        if not rest.strip():
            self.token = None
            return
        match = _TOKEN.match(self.text, self.at)
        if match is None:
            raise self.fail(f"{rest.split()[0]!r} is not understood in the condition")
        self.token = match
        self.at = match.end()

    def op(self) -> str:
        written = (self.token["op"] if self.token is not None else None) or ""
        return {"and": "/\\", "or": "\\/", "not": "~"}.get(written, written)

    def either(self) -> Check:
        left = self.both()
        while self.op() in ("\\/", "=>"):
            implies = self.op() == "=>"
            self.advance()
            right = self.either() if implies else self.both()
            left = _either(_negated(left) if implies else left, right)
        return left

    def both(self) -> Check:
        left = self.atom()
        while self.op() == "/\\":
            self.advance()
            right = self.atom()
            left = _both(left, right)
        return left

    def atom(self) -> Check:
        if self.op() == "~":
            self.advance()
            inner = self.atom()
            return _negated(inner)
        if self.op() == "(":
            self.advance()
            inner = self.either()
            if self.op() != ")":
                raise self.fail("')' is missing in the condition")
            self.advance()
            return inner
        token = self.token
        if token is None:
            raise self.fail("the condition ends too early")
        if token["name"] in ("true", "false"):
            self.advance()
            result = token["name"] == "true"
            return lambda s: result
        place = self.place()
        if place.fault:
            return lambda s: bool(s[place])
        relation = self.op()
        if relation not in ("=", "!=", "<>"):
            raise self.fail(f"'=' is missing after {place.key} in the condition")
        self.advance()
        token = self.token
        if token is None or token["op"]:
            raise self.fail(f"a value is missing after {place.key} in the condition")
        equal = relation == "="
        line = self.here()
        if token["cpu"] is not None:
            other = self.place()
            return lambda s: (s[place] == s[other]) == equal
        wanted = self.value(token.group().strip(), place, line)
        self.advance()
        return lambda s: (s[place] == wanted) == equal

    def place(self) -> Place:
        token = self.token
        assert token is not None, "the caller has looked"
        if token["fault"]:
            args = re.sub(r"\s", "", token["args"])
            match = re.match(r"P?(\d+)", args)
            if match is None:
                raise self.fail(f"fault({args}) names no CPU")
            found = Place(int(match[1]), args if args.startswith("P") else f"P{args}", fault=True)
        elif token["cpu"]:
            found = Place(int(token["cpu"]), self.register(token["register"].lstrip("%"), self.here()))
        elif token["boxed"] or token["name"]:
            index = -1 if token["index"] is None else int(token["index"])
            found = Place(-1, token["boxed"] or token["name"], index)
        else:
            raise self.fail(f"{token.group().strip()!r} is not a register or location")
        self.advance()
        if found not in self.places:
            self.places.append(found)
        return found


_TAIL = re.compile(
    r"\s*(locations)\s*\[((?:[^\[\]]|\[[^\[\]]*\])*)\];?|\s*(filter|exists|~\s*exists|forall)\b"
)


def read_condition(
    source: Source, register: Callable[[str, int], str], value: Callable[[str, Place, int], int | str]
) -> Condition:
    """Return what a test asks of its final states.

    A test that lists ``locations`` alone asks nothing: what holds of all states is then ``true``.

    Args:
        source: of the test.
        register: gives the full register that a name on a line stands for.
        value: gives what a written value looks like at a place; the last argument is the line.

    Raises:
        LitmusError: it can't be read, or is not there at all.
    """
    line, text = source.tail
    at = 0
    places: list[Place] = []
    filters: Check | None = None
    while True:
        match = _TAIL.match(text, at)
        if match is None:
            if places and not text[at:].strip():
                return Condition("forall", places, frozenset(places), "true")
            where = line + text.count("\n", 0, at)
            raise LitmusError(source.path, where, "locations, exists, ~exists or forall is expected here")
        here = line + text.count("\n", 0, match.start(2) if match[1] else match.end())
        if match[1]:
            for item in match[2].split(";"):
                if item.strip():
                    parser = _Parser(source, here, item.strip(), register, value)
                    place = parser.place()
                    if place not in places:
                        places.append(place)
            at = match.end()
            continue
        kind = re.sub(r"\s", "", match[3])
        if kind == "filter":
            end = re.compile(r"^\s*(exists|~\s*exists|forall|locations)\b", re.MULTILINE).search(
                text, match.end()
            )
            if end is None:
                raise LitmusError(source.path, here, "exists, ~exists or forall is missing")
            filters = _Parser(source, here, text[match.end() : end.start()], register, value).either()
            at = end.start()
            continue
        parser = _Parser(source, here, text[match.end() :].rstrip().rstrip(";"), register, value)
        listed = frozenset(places)
        holds = parser.either()
        if parser.token is not None:
            raise parser.fail(f"{parser.token.group().strip()!r} is not expected after the condition")
        for place in parser.places:
            if place not in places:
                places.append(place)
        written = " ".join(text[match.end() :].split()).rstrip("; ")
        return Condition(kind, places, listed, written, holds, filters)
