"""UFTP messages as XML and back, strictly by the declared types, orders and counts.

The guard comes first: size, UTF-8, and no DOCTYPE, so no entity is ever defined, let alone resolved. Then every element
and attribute must be one that the tables below, made from `messages`, know. `encode` writes one canonical form:
attributes in the order of the fields, values in canonical spelling, defaults left out.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from operator import attrgetter
from typing import Annotated, Any, Final, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from lxml import etree

from flexhub.core.errors import FlexhubError, InvalidError, MalformedError
from flexhub.protocols import codec
from flexhub.protocols.uftp.messages import MESSAGES, Column, Payload, SignedMessage, Wire, element
from flexhub.protocols.uftp.simple import Content, Simple

MAX_BYTES: Final = codec.MAX_BYTES
_FORBIDDEN: Final = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_DECLARED: Final = re.compile(rb"\s*<\?xml\s[^>]*?encoding\s*=\s*[\"']([^\"'>]+)[\"']")
_UTF8: Final = (b"utf-8", b"utf8", b"us-ascii")
_LOCATIONS: Final = frozenset(
    f"{{http://www.w3.org/2001/XMLSchema-instance}}{name}" for name in ("schemaLocation", "noNamespaceSchemaLocation")
)
"""Attributes that tell where a schema may lie; they may stand anywhere, and nothing is fetched."""
_ESCAPES: Final = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)
_SCHEMA: Final = "XSD"
MANY: Final = 8
"""So many elements of a list are worth being read by columns."""
ANY: Final = "*"
"""Name of the particle that takes elements of other namespaces; it stands last in a sequence."""


class Attribute(msgspec.Struct, frozen=True):
    """One attribute of an element."""

    name: str
    field: str
    simple: Simple
    required: bool
    default: Any
    since_3_1: bool
    required_until_3_1: bool


class Child(msgspec.Struct, frozen=True):
    """One particle of an element's sequence: between `least` and `most` (None: any number) elements of one kind."""

    name: str
    field: str
    shape: Shape
    least: int
    most: int | None


class Shape(msgspec.Struct, frozen=True):
    """What an element may hold: attributes by name, and children in this order; or else `content`, as `holds` says."""

    kind: type[Wire]
    name: str
    attributes: dict[str, Attribute]
    required: frozenset[str]
    children: tuple[Child, ...]
    differs: bool
    """Whether the attributes are not all there is to it: the versions differ here, or there is content."""
    head: Child | None = None
    """The element that stands before the `children`, exactly once."""
    content: Attribute | None = None
    holds: Content | None = None


def _parts(hint: Any) -> tuple[Any, list[object]]:  # noqa: ANN401 - a type
    """A type hint as (bare type, everything that annotates it), through optional and nested annotations."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        bare, more = _parts(inner)
        return bare, [*more, *notes]
    if get_origin(hint) in (Union, types.UnionType):
        inner = next(arg for arg in get_args(hint) if arg is not type(None))
        return _parts(inner)
    return hint, []


@cache
def shape(kind: type[Wire], name: str = "") -> Shape:
    """The shape of a struct type's element."""
    hints = get_type_hints(kind, include_extras=True)
    attributes: dict[str, Attribute] = {}
    children: list[Child] = []
    head: Child | None = None
    content: Attribute | None = None
    holds: Content | None = None
    for field in msgspec.structs.fields(kind):
        bare, notes = _parts(hints[field.name])
        simple = next((note for note in notes if isinstance(note, Simple)), None)
        if simple is not None:
            attribute = Attribute(
                field.encode_name,
                field.name,
                simple,
                field.required,
                None if field.required else field.default,
                Column.SINCE_3_1 in notes,
                Column.REQUIRED_UNTIL_3_1 in notes,
            )
            mark = next((note for note in notes if isinstance(note, Content)), None)
            if mark is None:
                attributes[field.encode_name] = attribute
            else:
                content, holds = attribute, mark
            continue
        if isinstance(bare, type) and issubclass(bare, Wire):
            head = Child(field.encode_name, field.name, shape(bare, field.encode_name), 1, 1)
            continue
        meta = next((note for note in notes if isinstance(note, msgspec.Meta)), msgspec.Meta())
        below = shape(get_args(bare)[0], field.encode_name)
        children.append(Child(field.encode_name, field.name, below, meta.min_length or 0, meta.max_length))
    children.sort(key=lambda child: child.name == ANY)
    return Shape(
        kind,
        name or element(kind),
        attributes,
        frozenset(a.name for a in attributes.values() if a.required),
        tuple(children),
        content is not None or any(a.since_3_1 or a.required_until_3_1 for a in attributes.values()),
        head,
        content,
        holds,
    )


_SHAPES: Final = {found.name: found for found in map(shape, (*MESSAGES, SignedMessage))}


def is_3_0(version: str) -> bool:
    """Whether a message of this Version is one of 3.0; every other is read as one of 3.1."""
    return version.startswith("3.0.")


_PARSER: Final = etree.XMLParser(
    encoding="utf-8", resolve_entities=False, no_network=True, remove_comments=True, remove_pis=True
)
"""One for all, since making one takes as long as parsing a message; threads take turns with it."""


def parsed(data: bytes, max_bytes: int = MAX_BYTES, *, clause: str = "section 4.2") -> etree._Element:
    """The root of guarded XML.

    Raises:
        MalformedError: too large, not UTF-8, with a DOCTYPE, or not XML.
    """
    codec.guard(data, "", max_bytes)
    if _FORBIDDEN.search(data):
        raise MalformedError("a DOCTYPE is not read: no message has one", clause=clause)
    declared = _DECLARED.match(data.removeprefix(b"\xef\xbb\xbf"))
    if declared is not None and declared[1].lower() not in _UTF8:
        raise MalformedError(f"{declared[1][:40]!r} is not UTF-8", value=repr(declared[1][:40]), clause=clause)
    try:
        return etree.fromstring(data, _PARSER)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MalformedError(f"not XML: {error}", clause=clause) from error


class UftpCodec:
    """The codec of every inner message; see `flexhub.protocols.codec.Codec`.

    Args:
        max_bytes: largest message that is read.
        schemas: version -> the published XSD of all messages, as an extra check on decode (`flexhub.adapters.schemas`).
    """

    def __init__(self, max_bytes: int = MAX_BYTES, schemas: Mapping[str, etree.XMLSchema] | None = None) -> None:
        self.max_bytes = max_bytes
        self.schemas = dict(schemas or {})

    def decode(self, data: bytes) -> Payload:
        """Read one inner message.

        Raises:
            MalformedError: what `parsed` refuses, or a root that is no message.
            InvalidError: an attribute or element that is missing, unknown, too many or of another type.
        """
        root = parsed(data, self.max_bytes)
        message = read(root)
        if not isinstance(message, Payload):
            raise MalformedError("an envelope is not a message", path=_name(root))
        if self.schemas:
            self._check(root, message.version)
        return message

    def encode(self, message: Payload) -> bytes:
        """Write one inner message.

        Raises:
            InvalidError: a value that is not of its declared type, or a field that its version does not have.
        """
        return written(message)

    def _check(self, root: etree._Element, version: str) -> None:
        extra = self.schemas.get("3.0.0" if is_3_0(version) else "3.1.0")
        if extra is not None and not extra.validate(root):
            told = str(extra.error_log).partition("\n")[0]
            raise InvalidError(told, path=_name(root), clause=_SCHEMA)


def _name(root: etree._Element) -> str:
    return str(root.tag)


def read(root: etree._Element) -> Wire:
    """A message or envelope from its element.

    Raises:
        MalformedError: the element is no message.
        InvalidError: something in it is not as declared.
    """
    name = _name(root)
    known = _SHAPES.get(name)
    if known is None:
        raise MalformedError(f"{name!r} is not a message of UFTP", path=name[:80], clause="section 4.2")
    old = is_3_0(root.get("Version", ""))
    return _element(root, known, name, old=old)


def element_read(node: etree._Element, form: Shape) -> Wire:
    """The struct of an element of this shape, whatever the protocol.

    Raises:
        InvalidError: something in it is not as declared.
    """
    return _element(node, form, form.name, old=False)


def _element(node: etree._Element, form: Shape, path: str, *, old: bool) -> Wire:
    if form.content is not None:
        return form.kind(**{form.content.field: _content(node, form, form.content, path)})
    fields: dict[str, Any] = {}
    attributes = form.attributes
    met = 0
    for name, text in cast("list[tuple[str, str]]", node.items()):
        attribute = attributes.get(name)
        if attribute is None or (old and attribute.since_3_1):
            if name in _LOCATIONS:
                continue
            raise InvalidError("is not an attribute of this element", path=f"{path}/@{name}", clause=_SCHEMA)
        value = attribute.simple.read(text)
        if value is None:
            value = _value(text, attribute.simple, f"{path}/@{name}")
        met += attribute.required
        fields[attribute.field] = value
    if met != len(form.required):
        raise InvalidError("is missing", path=f"{path}/@{_first_missing(form, fields)}", clause=_SCHEMA)
    if old and form.differs:
        _demands_of_3_0(form, path, fields)
    if form.children or form.head is not None:
        _children(node, form, path, fields, old=old)
    elif len(node):
        raise InvalidError("has no elements below it", path=f"{path}/{_name(node[0])}", clause=_SCHEMA)
    elif node.text is not None:
        raise InvalidError("holds text; values are attributes", path=path, value=node.text[:80], clause=_SCHEMA)
    return form.kind(**fields)


def _demands_of_3_0(form: Shape, path: str, fields: Mapping[str, Any]) -> None:
    for attribute in form.attributes.values():
        if attribute.required_until_3_1 and attribute.field not in fields:
            raise InvalidError("is missing; 3.0 demands it", path=f"{path}/@{attribute.name}", clause=_SCHEMA)


def _content(node: etree._Element, form: Shape, content: Attribute, path: str) -> Any:  # noqa: ANN401 - as `_value`
    if form.holds is Content.WHOLE:
        return etree.tostring(node, encoding="unicode", with_tail=False)
    odd = next((str(name) for name in node.keys() if name not in _LOCATIONS), None)  # noqa: SIM118 - not a dict
    if odd is not None:
        raise InvalidError("is not an attribute of this element", path=f"{path}/@{odd}", clause=_SCHEMA)
    if len(node):
        raise InvalidError("has no elements below it", path=f"{path}/{_name(node[0])}", clause=_SCHEMA)
    return _value(node.text or "", content.simple, path)


def _value(text: str, simple: Simple, path: str) -> Any:  # noqa: ANN401 - whatever the type holds
    value = simple.read(text)
    if value is None:
        raise InvalidError(f"{text[:80]!r} is not {simple.says}", path=path, value=text[:80], clause=simple.name)
    return value


def _first_missing(form: Shape, fields: Mapping[str, Any]) -> str:
    return next(a.name for a in form.attributes.values() if a.required and a.field not in fields)


def _children(node: etree._Element, form: Shape, path: str, fields: dict[str, Any], *, old: bool) -> None:
    """Read the sequence: each particle takes as many elements of its name as follow."""
    if len(form.children) == 1 and form.head is None and len(node) >= MANY:
        (only,) = form.children
        columns = _columns(only.shape.kind, only.shape.name)
        listed = None if columns is None else columns.read(node)
        if listed is not None and (only.most is None or len(listed) <= only.most):
            fields[only.field] = listed
            return
    _no_text(node.text, path)
    children = list(node)
    at, count = 0, len(children)
    head = form.head
    if head is not None:
        if not count or children[0].tag != head.name:
            raise InvalidError("is missing", path=f"{path}/{head.name}", clause=_SCHEMA)
        fields[head.field] = _element(children[0], head.shape, f"{path}/{head.name}", old=old)
        _no_text(children[0].tail, path)
        at = 1
    for particle in form.children:
        name, below = particle.name, particle.shape
        values: list[Wire] = []
        while at < count and (children[at].tag == name or (name == ANY and _name(children[at]).startswith("{"))):
            child = children[at]
            values.append(_element(child, below, f"{path}/{name}[{len(values)}]", old=old))
            if child.tail is not None:
                _no_text(child.tail, path)
            at += 1
        if len(values) < particle.least:
            got = f", {_name(children[at])} is here" if at < count else ""
            raise InvalidError(f"is missing{got}", path=f"{path}/{name}", clause=_SCHEMA)
        if particle.most is not None and len(values) > particle.most:
            raise InvalidError(f"stands {len(values)} times", path=f"{path}/{name}", clause=_SCHEMA)
        fields[particle.field] = tuple(values)
    if at < count:
        raise InvalidError("is not expected here", path=f"{path}/{_name(children[at])}", clause=_SCHEMA)


class _Columns:
    """Reads a long list of elements of attributes only, attribute by attribute: libxml2 collects each column at once.

    It knows the usual case, and leaves what is not as it should be, and saying so, to `_children`.
    """

    def __init__(self, form: Shape) -> None:
        name = form.name
        self._form = form
        self._columns = [(a, etree.XPath(f"{name}/@{a.name}", smart_strings=False)) for a in form.attributes.values()]
        # Elements of this name and nothing else, with nothing in them and blanks between them at most.
        self._plain = etree.XPath(f"count(*) = count({name}) and not({name}/node() or text()[normalize-space()])")
        self._attributes = etree.XPath(f"count({name}/@*)")

    def read(self, node: etree._Element) -> tuple[Wire, ...] | None:
        """The list; None where `_children` is to look."""
        if not self._plain(node):
            return None
        count, met = len(node), 0
        fields: list[str] = []
        values: list[list[Any]] = []
        for attribute, column in self._columns:
            texts = cast("list[str]", column(node))
            if not texts and not attribute.required:
                continue
            known = list(map(attribute.simple.known.get, texts))
            column_read = list(map(attribute.simple.read, texts)) if None in known else known
            if len(texts) != count or None in column_read:
                return None
            met += count
            fields.append(attribute.field)
            values.append(column_read)
        if met != self._attributes(node):
            return None
        return tuple(map(_maker(self._form.kind, tuple(fields)), *values))


@cache
def _columns(kind: type[Wire], name: str) -> _Columns | None:
    """What reads lists of these; None where they hold more than attributes."""
    form = shape(kind, name)
    simple = not (form.children or form.head or form.differs)
    return _Columns(form) if simple and form.name != ANY else None


@cache
def _maker(kind: type[Wire], fields: tuple[str, ...]) -> Callable[..., Wire]:
    """The struct from these fields by position; called by keywords that are written out, in a quarter of the time."""
    told = ", ".join(f"{name}={name}" for name in fields)
    made: Callable[..., Wire] = eval(f"lambda {', '.join(fields)}: kind({told})", {"kind": kind})  # noqa: S307 - names of ours
    return made


def _no_text(text: str | None, path: str) -> None:
    if text is not None and text.strip(" \t\n\r"):
        raise InvalidError("holds text; values are attributes", path=path, value=text[:80], clause=_SCHEMA)


def canonical(message: Payload) -> Payload:
    """The message as it is read again from what is written, down to how its decimals are spelled.

    Raises:
        InvalidError: a decimal that is not of its declared type.
    """
    name = element(type(message))
    return cast("Payload", _canonical(message, _SHAPES[name], name))


def _canonical(value: Wire, form: Shape, path: str) -> Wire:
    changed: dict[str, Any] = {}
    for attribute in form.attributes.values():
        held = getattr(value, attribute.field)
        if attribute.simple.spelled and held is not None:
            spelled = attribute.simple.read(attribute.simple.written(held, f"{path}/@{attribute.name}"))
            changed[attribute.field] = attribute.default if spelled == attribute.default else spelled
    for particle in form.children:
        if _spelled(particle.shape.kind, particle.shape.name):
            children = enumerate(getattr(value, particle.field))
            below = particle.shape
            changed[particle.field] = tuple(
                _canonical(child, below, f"{path}/{below.name}[{i}]") for i, child in children
            )
    return msgspec.structs.replace(value, **changed) if changed else value


@cache
def _spelled(kind: type[Wire], name: str) -> bool:
    form = shape(kind, name)
    below = (_spelled(particle.shape.kind, particle.shape.name) for particle in form.children)
    return any(attribute.simple.spelled for attribute in form.attributes.values()) or any(below)


def written(message: Payload | SignedMessage) -> bytes:
    """Canonical bytes of a message or envelope.

    Raises:
        InvalidError: a value that is not of its declared type, or a field that its version does not have.
    """
    name = element(type(message))
    form = _SHAPES.get(name)
    if form is None:
        raise InvalidError(f"{name} is not a message of UFTP", path=name)
    return element_written(message, form, old=isinstance(message, Payload) and is_3_0(message.version))


def element_written(value: Wire, form: Shape, *, old: bool = False) -> bytes:
    """Canonical bytes of a document whose root has this shape, whatever the protocol.

    Raises:
        InvalidError: a value that is not of its declared type.
    """
    out = ['<?xml version="1.0" encoding="UTF-8"?>']
    _write(value, form, out, form.name, old=old)
    return "".join(out).encode()


def _write(value: Wire, form: Shape, out: list[str], path: str, *, old: bool) -> None:
    if form.content is not None:
        inner = form.content.simple.written(getattr(value, form.content.field), path)
        out.append(inner if form.holds is Content.WHOLE else f"<{form.name}>{inner.translate(_ESCAPES)}</{form.name}>")
        return
    out.append(f"<{form.name}")
    _write_attributes(value, form, out, path, old=old)
    if form.head is None and not any(getattr(value, particle.field) for particle in form.children):
        _counts(value, form, path)
        out.append("/>")
        return
    out.append(">")
    if form.head is not None:
        _write(getattr(value, form.head.field), form.head.shape, out, f"{path}/{form.head.name}", old=old)
    _counts(value, form, path)
    for particle in form.children:
        below, children = particle.shape, getattr(value, particle.field)
        leaf = None if below.children or below.head or below.differs else _leaf(below.kind, below.name)
        for i, child in enumerate(children):
            text = None if leaf is None else leaf(child)
            if text is None:
                _write(child, below, out, f"{path}/{particle.name}[{i}]", old=old)
            else:
                out.append(text)
    out.append(f"</{form.name}>")


def _write_attributes(value: Wire, form: Shape, out: list[str], path: str, *, old: bool) -> None:
    for attribute in form.attributes.values():
        held = getattr(value, attribute.field)
        if held is None or (not attribute.required and held == attribute.default):
            if attribute.required or (old and attribute.required_until_3_1):
                raise InvalidError("is missing", path=f"{path}/@{attribute.name}", clause=_SCHEMA)
            continue
        if old and attribute.since_3_1:
            raise InvalidError("is not in 3.0", path=f"{path}/@{attribute.name}", clause=_SCHEMA)
        text = attribute.simple.write(held)
        if text is None:
            text = attribute.simple.written(held, f"{path}/@{attribute.name}")
        if not attribute.simple.safe:
            text = text.translate(_ESCAPES)
        out.append(f' {attribute.name}="{text}"')


@cache
def _leaf(kind: type[Wire], name: str) -> Callable[[Wire], str | None]:
    """What writes an element of attributes only, of which long lists are made; None where `_write` is to say why."""
    form = shape(kind, name)
    attributes = [
        (attrgetter(a.field), f' {a.name}="', a.simple.write, a.required, a.default, a.simple.safe)
        for a in form.attributes.values()
    ]
    head = f"<{form.name}"

    def write(value: Wire) -> str | None:
        out = head
        for held_of, begins, write_one, required, default, safe in attributes:
            held = held_of(value)
            if not required and (held is None or held == default):
                continue
            text = write_one(held)
            if text is None:
                return None
            out += f'{begins}{text if safe else text.translate(_ESCAPES)}"'
        return f"{out}/>"

    return write


def _counts(value: Wire, form: Shape, path: str) -> None:
    for particle in form.children:
        count = len(getattr(value, particle.field))
        if count < particle.least or (particle.most is not None and count > particle.most):
            raise InvalidError(f"stands {count} times", path=f"{path}/{particle.name}", clause=_SCHEMA)


def shapes() -> Iterator[Shape]:
    """Every element that is a message, for tests and the documentation."""
    yield from _SHAPES.values()


def verdict(data: bytes) -> FlexhubError | None:
    """Why some bytes are no message or envelope; None where they are one."""
    try:
        read(parsed(data))
    except FlexhubError as error:
        return error
    return None
