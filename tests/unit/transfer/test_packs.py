"""Which small files travel together."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pvserve.model import Found
from pvserve.transfer.agent.frames import SMALL
from pvserve.transfer.sender import PACK_BYTES, PACK_FILES, packs


@given(st.lists(st.integers(0, SMALL), max_size=600))
def test_every_small_file_is_in_one_pack_that_a_buffer_holds(sizes: list[int]) -> None:
    entries = [Found(str(number), size, 0, 0, 0, 0, False, "") for number, size in enumerate(sizes)]
    found = packs(entries, range(len(entries)))
    assert [number for pack in found for number in pack] == list(range(len(entries)))
    for pack in found:
        assert 1 <= len(pack) <= PACK_FILES
        assert sum(sizes[number] for number in pack) <= PACK_BYTES
