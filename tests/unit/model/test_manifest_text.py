"""The manifest's text is plain JSON with an indent of one, and says the same when it is read again."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from pvserve.model import Manifest, from_json, to_json
from pvserve.model.contain import fault
from pvserve.model.manifest import Entry

NAMES = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=20).filter(lambda name: not fault(name))
ENTRIES = st.dictionaries(NAMES.map(lambda name: name.replace("/", "|")), st.integers(0, 1 << 40), max_size=6)


@given(ENTRIES, st.text(st.characters(exclude_categories=("Cs",)), max_size=20), st.booleans())
@example({'"resources": []': 0}, '"resources": []', True)
@example({}, "", False)
def test_the_text_is_json_as_people_know_it(files: dict[str, int], source: str, executable: bool) -> None:
    entries = tuple(Entry(path, size, f"{size:064x}", executable) for path, size in sorted(files.items()))
    manifest = Manifest(entries, source=source, name=source)
    text = to_json(manifest)
    assert text == json.dumps(json.loads(text), ensure_ascii=False, indent=1) + "\n"
    read = from_json(text)
    assert read.entries == entries
    assert (read.source, read.name) == (source, source or "model")
