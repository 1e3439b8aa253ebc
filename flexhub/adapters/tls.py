"""TLS of connections that we make."""

from __future__ import annotations

import ssl
from pathlib import Path


def trusting(ca: Path | None, cert: tuple[Path, Path | None] | None = None) -> ssl.SSLContext:
    """TLS 1.2 or newer.

    Args:
        ca: a file with the authorities whose servers are trusted; None: the system's.
        cert: what we show: a certificate, and its key where that is not in the same file.

    Raises:
        OSError, ssl.SSLError: files of certificates that cannot be read.
    """
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert is not None:
        context.load_cert_chain(*cert)
    return context
