"""Label values as strings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.errors import InvalidInput
from stores.labels import join_tags, split_tags

tags = st.lists(st.text(min_size=1).filter(lambda tag: "|" not in tag))


@given(tags)
def test_tags_come_back_in_their_order(some):
    assert split_tags(join_tags(some)) == some


@pytest.mark.parametrize("bad", ["", "a|b", "|"])
def test_a_tag_that_could_not_come_back_is_refused(bad):
    with pytest.raises(InvalidInput, match="cannot be stored"):
        join_tags(["guitar", bad])
