"""Messages of OpenADR 2.0b as XML and back, strictly by the declared types, orders and counts.

First comes UFTP's guard: size, UTF-8, and no DOCTYPE, so no entity is ever defined, let alone resolved. Then every
element and attribute must be one that the shapes know. Last comes the published XSD, unless it is switched off.
`encode` writes one canonical form: no blanks, values in canonical spelling, the prefixes of `names`.

Readers and writers are made once for each struct. A reader doesn't carry the path along: an error finds it by going up
the tree.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, cast

import msgspec
from lxml import etree

from flexhub.core.errors import FlexhubError, InvalidError, MalformedError
from flexhub.protocols.openadr2b.elements import Element, Message
from flexhub.protocols.openadr2b.messages import MESSAGES, OadrPayload, OadrSignedObject
from flexhub.protocols.openadr2b.names import NAMESPACES, prefixed, tag
from flexhub.protocols.openadr2b.schema import schema
from flexhub.protocols.openadr2b.shapes import Attribute, Particle, Shape, below, name_of, prefixes, shape
from flexhub.protocols.openadr2b.simple import canonical
from flexhub.protocols.uftp.codec import MAX_BYTES, parsed
from flexhub.protocols.uftp.simple import Simple

CLAUSE: Final = "XSD 2.0b"

Read = Callable[[etree._Element], Any]  # noqa: SLF001 - lxml-stubs has no other name for the type
Write = Callable[[Any], str]

_ROOT: Final = tag("oadr:oadrPayload")
_LOCATION: Final = tag("xsi:schemaLocation")
_NIL: Final = tag("xsi:nil")
_TRUTH: Final = ("true", "false", "1", "0")
_KEPT: Final = "[not(ancestor::ds:Signature or ancestor::atom:feed)]"
_stray: Final = etree.XPath(f"//*[*]/text()[normalize-space()]{_KEPT}", namespaces=NAMESPACES)
"""Text beside elements. One search is faster than a look at each element, and so is the next."""
_attributes: Final = etree.XPath(f"//@*{_KEPT}", namespaces=NAMESPACES)

_ALL: Final = tuple(below(OadrPayload))
_ALLOWED: Final = frozenset(
    (tag(name_of(kind)), tag(attribute.name)) for kind in _ALL for attribute in shape(kind).attributes
)
_REPEATED: Final = frozenset(
    (tag(particle.within[-1] if particle.within else name_of(kind)), tag(name))
    for kind in _ALL
    for particle in shape(kind).particles
    if particle.least is not None
    for name in particle.firsts
    if particle.within or kind.__struct_config__.tag
)
_MESSAGES: Final = frozenset(tag(name_of(kind)) for kind in MESSAGES)


def _local(name: str) -> str:
    return name.rpartition("}")[2].rpartition(":")[2]


def path_of(node: etree._Element, *more: str) -> str:
    """Where an element stands, from its message on: local names, with an index (from 0) where there may be several."""
    steps = list(reversed(more))
    at: etree._Element | None = node
    while at is not None:
        name, above = str(at.tag), at.getparent()
        same = [] if above is None else [one for one in above if one.tag == name]
        many = above is not None and (len(same) > 1 or (above.tag, name) in _REPEATED)
        steps.append(f"{_local(name)}[{same.index(at)}]" if many else _local(name))
        at = None if name in _MESSAGES and (above is None or above.tag not in _MESSAGES) else above
    return "/".join(reversed(steps))


def _unexpected(node: etree._Element) -> InvalidError:
    return InvalidError("is not expected here", path=path_of(node), value=prefixed(str(node.tag))[:80], clause=CLAUSE)


def _missing(node: etree._Element, name: str) -> InvalidError:
    return InvalidError("is missing", path=path_of(node, _local(name)), clause=CLAUSE)


def _holds_text(node: etree._Element, text: str) -> InvalidError:
    return InvalidError("holds text beside or instead of elements", path=path_of(node), value=text[:80], clause=CLAUSE)


# Reading


def _leaf(simple: Simple) -> Read:
    """Reads the text of an element without elements."""
    read_text = simple.read

    def read(node: etree._Element) -> Any:  # noqa: ANN401 - whatever the type holds
        value = read_text(node.text or "")
        if value is None or len(node):
            raise _no_value(node, simple)
        return value

    return read


def _no_value(node: etree._Element, simple: Simple) -> InvalidError:
    text = node.text or ""
    if simple.read(text) is not None:
        return _unexpected(node[0])
    return InvalidError(f"{text[:80]!r} is not {simple.says}", path=path_of(node), value=text[:80], clause=simple.name)


def _inner_leaf(name: str, simple: Simple) -> Read:
    """`_through` and `_leaf` in one, since most elements of long messages are read so."""
    expected, read_text = tag(name), simple.read
    slowly = _through(name, _leaf(simple))

    def read(node: etree._Element) -> Any:  # noqa: ANN401 - as above
        if len(node) == 1:
            inner = node[0]
            if inner.tag == expected and not len(inner):
                value = read_text(inner.text or "")
                if value is not None:
                    return value
        return slowly(node)

    return read


def _through(name: str, read: Read) -> Read:
    """Reads the one element of this name that stands in an element."""
    expected = tag(name)

    def step(node: etree._Element) -> Any:  # noqa: ANN401 - as above
        if len(node) != 1:
            raise _unexpected(node[1]) if len(node) else _missing(node, name)
        inner = node[0]
        if inner.tag != expected:
            raise _unexpected(inner)
        return read(inner)

    return step


def _values(particle: Particle) -> dict[str, Read]:
    """Tag of the element that a value begins with -> what reads it."""
    if particle.whole:
        last: Read = canonical
    elif particle.simple is not None:
        last = _leaf(particle.simple)
    elif not particle.path:
        return {tag(name_of(kind)): _reader(kind) for kind in particle.kinds}
    else:
        last = _reader(particle.kinds[0])
    steps = particle.path[1:]
    if steps and particle.simple is not None:
        last, steps = _inner_leaf(steps[-1], particle.simple), steps[:-1]
    for name in reversed(steps):
        last = _through(name, last)
    return {tag(particle.path[0]): last}


def _all_within(particle: Particle) -> Read:
    """Reads the tuple that fills an element."""
    reads = _values(particle)
    names = " or ".join(map(_local, particle.firsts))

    def read(node: etree._Element) -> tuple[Any, ...]:
        values = []
        for child in node:
            read_one = reads.get(child.tag)
            if read_one is None:
                raise _unexpected(child)
            values.append(read_one(child))
        if len(values) < (particle.least or 0):
            raise _missing(node, names)
        if not values:
            _no_text(node)
        return tuple(values)

    for name in reversed(particle.within[1:]):
        read = _through(name, read)  # type: ignore[assignment]  # it reads a tuple, still
    return read


Entry = tuple[int, str, Read, bool, bool]
"""Place in the sequence, field, what reads it, whether there may be several, and whether there has to be one."""


def _table(form: Shape) -> dict[str, Entry]:
    """Tag -> what is to be done with a child of this name."""
    table: dict[str, Entry] = {}
    for i, particle in enumerate(form.particles):
        if particle.within:
            entry = (i, particle.field, _all_within(particle), False, particle.required)
            table[tag(particle.within[0])] = entry
        else:
            many, needed = particle.least is not None, particle.required
            table |= {name: (i, particle.field, read, many, needed) for name, read in _values(particle).items()}
    return table


@cache
def _reader(kind: type[Element]) -> Read:
    """What reads a struct from its element."""
    form = shape(kind)
    table = _table(form)
    lists = tuple(dict.fromkeys(field for _, field, _, many, _ in table.values() if many))
    required = sum(particle.required for particle in form.particles)
    attributes = form.attributes

    def read(node: etree._Element) -> Element:
        fields: dict[str, Any] = {}
        last, met = -1, 0
        for child in node:
            entry = table.get(child.tag)
            if entry is None:
                raise _unexpected(child)
            at, field, read_one, many, needed = entry
            if at > last:
                last = at
                met += needed
                fields[field] = [read_one(child)] if many else read_one(child)
            elif many and at == last:
                fields[field].append(read_one(child))
            else:
                raise _unexpected(child)
        if met != required:
            raise _missing(node, _first_missing(form, fields))
        if last < 0:
            _no_text(node)
        for field in lists:
            if field in fields:
                fields[field] = tuple(fields[field])
        if attributes:
            fields |= _attributes_of(node, attributes)
        return kind(**fields)

    if attributes or lists or len(form.particles) != 1 or not required:
        return read
    return _only(kind, table, form.particles[0], read)


def _only(kind: type[Element], table: dict[str, Entry], particle: Particle, slowly: Read) -> Read:
    """Reads a struct of one field, which needs no book-keeping; most elements of long messages are such."""
    field, simple = particle.field, particle.simple
    if simple is not None and len(particle.path) == 1:
        expected, read_text = tag(particle.path[0]), simple.read

        def read_leaf(node: etree._Element) -> Element:
            if len(node) == 1:
                child = node[0]
                if child.tag == expected and not len(child):
                    value = read_text(child.text or "")
                    if value is not None:
                        return kind(**{field: value})
            return cast("Element", slowly(node))

        return read_leaf

    def read(node: etree._Element) -> Element:
        if len(node) == 1:
            child = node[0]
            entry = table.get(child.tag)
            if entry is not None:
                return kind(**{field: entry[2](child)})
        return cast("Element", slowly(node))

    return read


def _no_text(node: etree._Element) -> None:
    if node.text is not None and node.text.strip():
        raise _holds_text(node, node.text)


def _first_missing(form: Shape, fields: dict[str, Any]) -> str:
    return next(" or ".join(map(_local, p.names)) for p in form.particles if p.required and p.field not in fields)


def _attributes_of(node: etree._Element, attributes: tuple[Attribute, ...]) -> dict[str, Any]:
    fields = {}
    for one in attributes:
        text = node.get(tag(one.name))
        if text is not None:
            fields[one.field] = value = one.simple.read(text)
            if value is None:
                at = path_of(node, f"@{_local(one.name)}")
                raise InvalidError(
                    f"{text[:80]!r} is not {one.simple.says}", path=at, value=text[:80], clause=one.simple.name
                )
    return fields


def _known_attributes(root: etree._Element) -> None:
    for text in cast("list[Any]", _attributes(root)):
        node, name = text.getparent(), text.attrname
        above = node.getparent()
        if (node.tag, name) in _ALLOWED or (above is None and name == _LOCATION):
            continue
        if name == _NIL and above is not None and above.tag == _PERIOD and text.strip() in _TRUTH:
            continue
        at = path_of(node, f"@{_local(name)}")
        raise InvalidError("is not an attribute of this element", path=at, value=prefixed(name)[:80], clause=CLAUSE)


def _no_stray_text(root: etree._Element) -> None:
    for text in cast("list[Any]", _stray(root)):
        node = text.getparent()
        raise _holds_text(node if text.is_text else node.getparent(), text)


_PERIOD: Final = tag("ei:eiActivePeriod")


def read(root: etree._Element, *, checked: bool = False) -> OadrPayload:
    """A payload from its element, which `parsed` has guarded; `checked` where the XSD has seen that no text is astray.

    Raises:
        MalformedError: the element is no payload.
        InvalidError: something in it is not as declared.
    """
    name = str(root.tag)
    if name != _ROOT:
        raise MalformedError(
            f"{prefixed(name)[:80]!r} is not an oadr:oadrPayload", path=_local(name)[:80], clause=CLAUSE
        )
    payload = cast("OadrPayload", _reader(OadrPayload)(root))
    _known_attributes(root)
    if not checked:
        _no_stray_text(root)
    location = root.get(_LOCATION)
    if location is None or payload.oadr_signed_object.message.schema_location is not None:
        return payload
    inner = payload.oadr_signed_object
    message = msgspec.structs.replace(inner.message, schema_location=location)
    return msgspec.structs.replace(payload, oadr_signed_object=msgspec.structs.replace(inner, message=message))


# Writing

_ESCAPES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#13;"})
_QUOTED: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


def _around(path: tuple[str, ...]) -> tuple[str, str]:
    """What stands before and after a value that lies at this path."""
    return "".join(f"<{name}>" for name in path), "".join(f"</{name}>" for name in reversed(path))


def _text_writer(particle: Particle, simple: Simple) -> Write:
    before, after = _around(particle.path)
    write_text, safe = simple.write, simple.safe

    def write(value: Any) -> str:  # noqa: ANN401 - whatever the type holds
        text = write_text(value)
        if text is None:
            raise InvalidError(f"{str(value)[:80]!r} is not {simple.says}", path="/".join(map(_local, particle.path)))
        return f"{before}{text if safe else text.translate(_ESCAPES)}{after}"

    return write


def _whole_writer(particle: Particle, simple: Simple) -> Write:
    expected = tag(particle.path[0])

    def write(value: Any) -> str:  # noqa: ANN401 - as above
        text = simple.write(value)
        if text is None or etree.fromstring(text).tag != expected:
            raise InvalidError(f"{str(value)[:80]!r} is not {simple.says}", path=_local(particle.path[0]))
        return text

    return write


def _value_writer(particle: Particle) -> Write:
    """Writes one value of a particle, with the elements around it."""
    if particle.simple is not None:
        return (_whole_writer if particle.whole else _text_writer)(particle, particle.simple)
    if particle.path:
        before, after = _around(particle.path[:-1])
        inner = _writer(particle.kinds[0], particle.path[-1])
        return inner if not before else lambda value: f"{before}{inner(value)}{after}"
    writers = {kind: _writer(kind, name_of(kind)) for kind in particle.kinds}

    def write(value: Any) -> str:  # noqa: ANN401 - as above
        one = writers.get(type(value))
        if one is None:
            stands = type(value)
            name = _local(name_of(stands)) if issubclass(stands, Element) else stands.__name__
            raise InvalidError(f"{stands.__name__} cannot stand here", path=name)
        return one(value)

    return write


def _particle_writer(particle: Particle) -> Write:
    one = _value_writer(particle)
    if particle.least is None:
        return one
    least, path = particle.least, "/".join(map(_local, (*particle.within, particle.firsts[0])))
    around = "".join(f"{_local(name)}/" for name in particle.within)
    before, after = _around(particle.within)

    def write(values: Any) -> str:  # noqa: ANN401 - as above
        if len(values) < least:
            raise InvalidError("is missing", path=path)
        out = [before]
        try:
            for value in values:
                out.append(one(value))  # noqa: PERF401 - the count of what is written tells the index
        except InvalidError as error:
            name, slash, inner = error.path.partition("/")
            raise InvalidError(error.message, path=f"{around}{name}[{len(out) - 1}]{slash}{inner}") from error
        out.append(after)
        return "".join(out)

    return write


@cache
def _writer(kind: type[Element], name: str) -> Write:
    """What writes a struct as an element of this name."""
    form = shape(kind)
    parts = tuple((p.field, _particle_writer(p), not p.required, p.names[0]) for p in form.particles)
    attributes = form.attributes
    local = _local(name)

    def write(value: Any) -> str:  # noqa: ANN401 - as above
        if type(value) is not kind:
            raise InvalidError(f"{type(value).__name__} is no {kind.__name__}", path=local)
        out = ""
        try:
            for field, write_one, optional, child in parts:
                held = getattr(value, field)
                if held is not None:
                    out += write_one(held)
                elif not optional:
                    raise InvalidError("is missing", path=_local(child))  # noqa: TRY301 - one place adds the path
        except InvalidError as error:
            raise InvalidError(error.message, path=f"{local}/{error.path}", clause=CLAUSE) from error
        head = f"<{name}"
        for attribute in attributes:
            held = getattr(value, attribute.field)
            if held is not None:
                text = attribute.simple.written(held, f"{local}/@{_local(attribute.name)}")
                head += f' {attribute.name}="{text.translate(_QUOTED)}"'
        return f"{head}>{out}</{name}>" if out else f"{head}/>"

    return write


_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>'


@cache
def _begin(kind: type[Message], *more: str) -> str:
    """Declaration and begin of a payload with a message of this kind: all prefixes that may be in it are told here."""
    used = dict.fromkeys(("oadr", *prefixes(kind), *more))
    spaces = "".join(f' xmlns:{prefix}="{NAMESPACES[prefix]}"' for prefix in used if prefix not in ("atom", "ds"))
    return f"{_DECLARATION}<oadr:oadrPayload{spaces}>"


_END: Final = "</oadr:oadrPayload>"


def written(payload: OadrPayload) -> bytes:
    """Canonical bytes of a payload.

    Raises:
        InvalidError: a value that is not of its declared type.
    """
    form = shape(OadrPayload)
    if type(payload) is not OadrPayload:
        raise InvalidError(f"{type(payload).__name__} is no OadrPayload", path="oadrPayload", clause=CLAUSE)
    inner = signed_object(payload.oadr_signed_object)
    outer = "" if payload.signature is None else _particle_writer(form.particles[0])(payload.signature)
    return f"{_begin(type(payload.oadr_signed_object.message))}{outer}{inner}{_END}".encode()


def signed_object(value: OadrSignedObject) -> str:
    """An oadrSignedObject as it stands in a payload, which tells its prefixes.

    Raises:
        InvalidError: a value that is not of its declared type.
    """
    try:
        return _writer(OadrSignedObject, name_of(OadrSignedObject))(value)
    except InvalidError as error:
        raise InvalidError(error.message, path=error.path.removeprefix("oadrSignedObject/"), clause=CLAUSE) from error


class OadrCodec:
    """The codec of every message, each in its payload; see `flexhub.protocols.codec.Codec`.

    Args:
        max_bytes: largest payload that is read.
        check: whether the published XSD has to accept, too, what is read.
    """

    def __init__(self, max_bytes: int = MAX_BYTES, *, check: bool = True) -> None:
        self.max_bytes = max_bytes
        self.check = check

    def root(self, data: bytes) -> etree._Element:
        """The guarded root of a payload, which the XSD accepts where it is to be asked.

        Raises:
            MalformedError: too large, not UTF-8, with a DOCTYPE, or not XML.
            InvalidError: the XSD refuses it.
            ConfigError: the XSD is to be asked and not installed.
        """
        root = parsed(data, self.max_bytes, clause=CLAUSE)
        if self.check:
            told = schema()
            if not told.validate(root):
                raise self._refused(root, str(told.error_log).partition("\n")[0])
        return root

    def _refused(self, root: etree._Element, told: str) -> FlexhubError:
        """What our own reader says of what the XSD refuses, since that says where; else what the XSD said."""
        try:
            read(root)
        except FlexhubError as error:
            return error
        return InvalidError(told, path=_local(str(root.tag)), clause=CLAUSE)

    def decode_payload(self, data: bytes) -> OadrPayload:
        """Read one payload; its signature is not looked at.

        Raises:
            MalformedError: as `root`; or a root that is no oadrPayload.
            InvalidError: an attribute or element that is missing, unknown, too many or of another type.
            ConfigError: as `root`.
        """
        return read(self.root(data), checked=self.check)

    def decode(self, data: bytes) -> Message:
        """Read the message of one payload.

        Raises:
            FlexhubError: as `decode_payload`.
        """
        return self.decode_payload(data).oadr_signed_object.message

    def encode(self, message: Message) -> bytes:
        """Write one message in an unsigned payload.

        Raises:
            InvalidError: a value that is not of its declared type.
        """
        return written(OadrPayload(oadr_signed_object=OadrSignedObject(message=message)))  # type: ignore[arg-type]  # a message of no kind is refused there


def verdict(data: bytes) -> FlexhubError | None:
    """Why some bytes are no payload, without the XSD; None where they are one."""
    try:
        read(parsed(data, clause=CLAUSE))
    except FlexhubError as error:
        return error
    return None
