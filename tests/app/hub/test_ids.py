"""Ids that are given once, also by processes that were forked from one another."""

from __future__ import annotations

import os

from flexhub.app.hub.ids import fresh_id


def test_no_id_is_given_twice_nor_by_a_process_that_was_forked() -> None:
    ours = [fresh_id() for _ in range(3)]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, " ".join(fresh_id() for _ in range(3)).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as read:
        theirs = read.read().split()
    assert os.waitpid(child, 0)[1] == 0
    ours += [fresh_id() for _ in range(3)]
    assert len(theirs) == 3
    assert len({*ours, *theirs}) == 9
