"""What is refused at the door because nothing can satisfy it."""

from __future__ import annotations

import pytest

from flexhub.app.exchange.offers import check
from flexhub.core.errors import InfeasibleError
from flexhub.core.flexoffer import EnergyRange, Slice
from tests.core.test_judge import NOON, offer


def test_an_offer_that_no_schedule_keeps_is_refused_and_its_twin_is_not() -> None:
    charge = (Slice(amounts_kwh=(0.0, 2.0)),) * 2
    check(offer(*charge, total_energy_kwh=EnergyRange(2.0, 3.0)), NOON)
    with pytest.raises(InfeasibleError) as caught:
        check(offer(*charge, total_energy_kwh=EnergyRange(0.5, 1.5)), NOON)
    assert caught.value.path == "FlexOffer/profiles"
