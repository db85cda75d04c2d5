"""Labels as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stores.errors import InvalidInput
from stores.labels import join_tags, split_tags

tags = st.lists(st.text(min_size=1).filter(lambda tag: "|" not in tag))


@given(tags)
def test_tags_keep_their_order_and_are_there_once(several):
    assert split_tags(join_tags([*several, *several[:1]])) == list(dict.fromkeys(several))


@pytest.mark.parametrize("bad", ["", "a|b", "|"])
def test_a_tag_that_cannot_be_split_again_is_an_error(bad):
    with pytest.raises(InvalidInput, match="cannot be stored"):
        join_tags(["guitar", bad])
