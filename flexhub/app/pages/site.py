"""The page of a hub: one template, our own script and style, and plotly.js from the installed plotly package.

The page itself holds no data and is open to anyone; its script asks REST with a bearer token, so each party sees only
what is its own. The token comes from the address's fragment (``/#token=...``), which never leaves the browser, or from
what its reader types in. A demo may name a guest's token, which is then part of the page, but only for readers who
address this machine by a loopback name; so no other site can read it by pointing a name of its own here.
"""

from __future__ import annotations

import gzip
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, select_autoescape

from flexhub.app.pages import Settings
from flexhub.core.errors import ConfigError

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

STATIC: Final = {
    "site.css": "text/css; charset=utf-8",
    "site.js": "text/javascript; charset=utf-8",
    "chart.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}


def plotly_js() -> bytes:
    """plotly.js of the installed plotly package, which is not imported for it.

    Raises:
        ConfigError: plotly is not installed.
    """
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ConfigError("the pages need the package 'plotly' (flexhub[pages])", path="pages")
    return (Path(spec.origin).parent / "package_data" / "plotly.min.js").read_bytes()


def mount(app: web.Application, settings: Settings) -> None:
    """Add the page at ``/`` and what it needs at ``/static/``.

    Raises:
        ConfigError: plotly is not installed.
    """
    template = Environment(loader=PackageLoader("flexhub.app.pages"), autoescape=select_autoescape()).get_template(
        "site.html"
    )
    folder = files("flexhub.app.pages") / "static"
    content = {name: (folder / name).read_bytes() for name in STATIC}
    content["plotly.min.js"] = plotly_js()
    types = STATIC | {"plotly.min.js": "text/javascript; charset=utf-8"}
    packed: dict[str, bytes] = {}

    async def page(request: web.Request) -> web.Response:
        host = request.host.rpartition(":")[0] or request.host
        guest = settings.guest if host in LOOPBACK else None
        text = template.render(settings=settings, guest=guest)
        headers = HEADERS | {"Cache-Control": "no-store"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def static(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in content:
            raise web.HTTPNotFound
        if name not in packed:
            packed[name] = gzip.compress(content[name], 5)
        headers = HEADERS | {"Content-Type": types[name], "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if "gzip" not in request.headers.get("Accept-Encoding", ""):
            return web.Response(body=content[name], headers=headers)
        return web.Response(body=packed[name], headers=headers | {"Content-Encoding": "gzip"})

    app.router.add_get("/", page)
    app.router.add_get("/static/{name}", static)
