"""The shape of every element of OpenADR 2.0b, made from the structs: what `codec` reads and writes by."""

from __future__ import annotations

import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from flexhub.protocols.openadr2b.elements import Element
from flexhub.protocols.openadr2b.simple import At, Attr, Within
from flexhub.protocols.uftp.simple import Content, Simple

Kinds = tuple[type[Element], ...]


class Attribute(msgspec.Struct, frozen=True):
    """An attribute of an element; none is mandatory."""

    name: str
    field: str
    simple: Simple


class Particle(msgspec.Struct, frozen=True):
    """One particle of an element's sequence.

    Args:
        field: the name in the struct.
        within: elements, once each, around all of it.
        path: elements around each value, the outermost first; its last holds the value. Without one, the values are
            elements of the `kinds` by their own names.
        simple: the type of the value, where that is text.
        kinds: the structs that it may be, where it is not.
        required: whether it (or the outermost element that it is within) has to be there.
        least: how many there are at least; None where there is no more than one.
        whole: whether the value is the element itself, as XML.
    """

    field: str
    within: tuple[str, ...]
    path: tuple[str, ...]
    simple: Simple | None
    kinds: Kinds
    required: bool
    least: int | None
    whole: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The elements that it may begin with."""
        return self.within[:1] or self.firsts

    @property
    def firsts(self) -> tuple[str, ...]:
        """The elements that each value may begin with."""
        return self.path[:1] or tuple(map(name_of, self.kinds))


class Shape(msgspec.Struct, frozen=True):
    """What an element may hold: attributes, and particles in this order."""

    kind: type[Element]
    attributes: tuple[Attribute, ...]
    particles: tuple[Particle, ...]


def name_of(kind: type[Element]) -> str:
    """The prefixed name of a struct's element; one that has none lies at different names."""
    return str(kind.__struct_config__.tag)


def _parts(hint: Any) -> tuple[tuple[Any, ...], list[Any]]:  # noqa: ANN401 - a type
    """A hint as (what it may be, everything that annotates it), through optional and nested annotations."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        bare, more = _parts(inner)
        return bare, [*more, *notes]
    if get_origin(hint) in (Union, types.UnionType):
        options = [_parts(arg) for arg in get_args(hint) if arg is not type(None)]
        return tuple(b for bare, _ in options for b in bare), [note for _, notes in options for note in notes]
    return (hint,), []


def _note(notes: list[Any], kind: type) -> Any:  # noqa: ANN401 - one of that kind, or None
    return next((note for note in notes if isinstance(note, kind)), None)


@cache
def shape(kind: type[Element]) -> Shape:
    """The shape of a struct's element."""
    hints = get_type_hints(kind, include_extras=True)
    attributes: list[Attribute] = []
    particles: list[Particle] = []
    for field in msgspec.structs.fields(kind):
        bare, notes = _parts(hints[field.name])
        attr = _note(notes, Attr)
        if attr is not None:
            attributes.append(Attribute(attr.name, field.name, _note(notes, Simple)))
            continue
        least = None
        if get_origin(bare[0]) is tuple and _note(notes, Simple) is None:
            meta = _note(notes, msgspec.Meta)
            least = 0 if meta is None else meta.min_length or 0
            bare, below = _parts(get_args(bare[0])[0])
            notes = [*below, *notes]
        at, within = _note(notes, At), _note(notes, Within)
        simple = _note(notes, Simple)
        particles.append(
            Particle(
                field=field.name,
                within=() if within is None else within.path,
                path=() if at is None else at.path,
                simple=simple,
                kinds=() if simple is not None else bare,
                required=bool(least)
                if least is not None and within is None
                else field.required or field.default is not None,
                least=least,
                whole=_note(notes, Content) is Content.WHOLE,
            )
        )
    return Shape(kind, tuple(attributes), tuple(particles))


def below(kind: type[Element]) -> Iterator[type[Element]]:
    """A struct, and every one that may lie in it; each once."""
    met: dict[type[Element], None] = {}
    waiting = [kind]
    while waiting:
        at = waiting.pop()
        if at not in met:
            met[at] = None
            waiting += [inner for particle in shape(at).particles for inner in particle.kinds]
    yield from met


def prefixes(kind: type[Element]) -> tuple[str, ...]:
    """The prefixes of all names that may stand in a struct's element, in the order of their first use."""
    used: dict[str, None] = {}
    for at in below(kind):
        for attribute in shape(at).attributes:
            used[attribute.name] = None
        for particle in shape(at).particles:
            used |= dict.fromkeys((*particle.within, *(particle.path or particle.firsts)))
    return tuple(dict.fromkeys(name.partition(":")[0] for name in (name_of(kind), *used)))
