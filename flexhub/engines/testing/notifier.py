"""The test set of notifiers. Where notices go differs, so a subclass says how they are read."""

from __future__ import annotations

from flexhub.engines.slots import Notifier
from flexhub.engines.testing import SlotTests, expect


class NotifierTests(SlotTests[Notifier]):
    """What every notifier does."""

    def sent(self) -> list[tuple[str, str, str]]:
        """(party, subject, text) of each notice that arrived from engines of `make` so far; to be overridden."""
        raise NotImplementedError

    def test_tells_each_notice_once_and_in_order(self) -> None:
        """None is lost, none is doubled."""
        notifier = self.make()
        told = [("ann", "plan", "starts at 13:00"), ("bob", "bill", "1.00 EUR"), ("ann", "plan", "starts at 13:00")]
        for notice in told:
            notifier.notify(*notice)
        expect(self.sent() == told, f"told {self.sent()}")

    def test_a_text_is_told_as_it_is(self) -> None:
        """Line breaks, quotes and letters of all scripts; no text passes for two notices."""
        odd = ("ann", 'a "subject"', "one\ntwo\r\n{}\u2028\u00e9\u4e2d\N{SNOWMAN}")
        self.make().notify(*odd)
        expect(self.sent() == [odd], f"told {self.sent()}")
