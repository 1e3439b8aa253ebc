"""Pure rooms have no hidden inputs: the same arguments give the same result."""

from __future__ import annotations

import pytest

from tests.architecture.purity import hidden, impure
from tests.conftest import ROOT


def test_pure_rooms_have_no_hidden_inputs() -> None:
    assert impure(ROOT) == []


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("from datetime import datetime\ndatetime.fromtimestamp(0)", "from datetime import datetime\ndatetime.now()"),
        ("import datetime as d\nd.date(2026, 1, 1)", "import datetime as d\nd.date.today()"),
        ("def f(now): now()", "from datetime import datetime\ndef f(now=datetime.now): now()"),
        ("import random\nrandom.Random(7)", "import random\nrandom.Random()"),
        ("import random\nrandom.Random(7).random()", "import random\nrandom.random()"),
        ("import numpy as np\nnp.random.default_rng(1)", "import numpy as np\nnp.random.rand()"),
        ("from uuid import uuid5", "from uuid import uuid4"),
        ("import math", "import time"),
        ("from collections import abc", "from os import environ"),
        ("def f(path): return path.name", "def f(path): return open(path)"),
        ("x = 'print'", "print('x')"),
    ],
)
def test_a_hidden_input_is_found_and_its_twin_passes(good: str, bad: str) -> None:
    assert list(hidden(good)) == []
    assert list(hidden(bad))
