"""The flex-offer protocol's entry in the registry."""

from __future__ import annotations

from typing import Final

from flexhub.protocols.flexoffer.codec import FlexOfferCodec
from flexhub.protocols.flexoffer.messages import FlexOffer
from flexhub.protocols.flexoffer.rules import RULES
from flexhub.protocols.registry import Protocol

PROTOCOL: Final = Protocol(
    name="flexoffer",
    title="FlexOffer specification V1 and GOFLEX JSON",
    messages=(FlexOffer,),
    codec=FlexOfferCodec(),
    rules=RULES,
)
