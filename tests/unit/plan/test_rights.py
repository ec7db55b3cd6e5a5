"""docs/rights.md is what plans are checked against."""

from typing import get_args

import yaml

from pvserve.facts import Right
from pvserve.plan.rights import NEEDS, Use, required, role_text

from . import rights_page


def test_the_page_says_what_the_code_asks_for() -> None:
    assert rights_page.PAGE.read_text(encoding="utf-8") == rights_page.page(), (
        "docs/rights.md is not what the code says: python tests/unit/plan/rights_page.py"
    )


def test_every_use_is_on_the_page() -> None:
    assert set(rights_page.USES) == set(get_args(Use)) == {need.use for need in NEEDS}


def test_a_role_gives_exactly_the_rights_it_was_made_of() -> None:
    for use in get_args(Use):
        wanted = set(required((use,), "llm"))
        given = {
            Right(verb, rule["apiGroups"][0], rule["resources"][0], role["metadata"].get("namespace", ""))
            for role in yaml.safe_load_all(role_text(wanted))
            for rule in role["rules"]
            for verb in rule["verbs"]
        }
        assert given == wanted
