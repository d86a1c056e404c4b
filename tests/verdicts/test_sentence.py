"""The sentence on the test split names the metric as people do, and claims no power that it has not."""

from __future__ import annotations

import pytest

from tunesmith.evaluation import Score
from tunesmith.verdicts.sentence import sentence

SAME, NONE = Score(0.9, 0.8, 1.0), Score(0.0, 0.0, 0.0)


def test_a_metric_is_written_as_in_the_table_above_it() -> None:
    assert sentence("macro_f1", SAME, "linear probe", SAME, NONE, 90).startswith("macro F1 0.900 against")


@pytest.mark.parametrize(("detectable", "said"), [(0.1, True), (0.0, False), (None, False)])
def test_what_would_have_been_proven_is_said_only_where_it_is_known(
    detectable: float | None, said: bool
) -> None:
    written = sentence("macro_f1", SAME, "linear probe", SAME, NONE, 90, detectable=detectable)
    assert ("would have been" in written) == said
