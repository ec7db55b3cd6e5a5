"""docs/rights.md, from the table that plans are checked against: `python tests/unit/plan/rights_page.py` writes it."""

from collections.abc import Iterator
from pathlib import Path

from pvserve.facts import Right
from pvserve.plan.rights import NEEDS, Need, required, role_text

PAGE = Path(__file__).parents[3] / "docs" / "rights.md"
STATISTICS = Right("get", "", "nodes/proxy")
USES = {
    "load": "Load a model (`load`, first half of `deploy`)",
    "fetch": "Load what the cluster reads itself (`s3://`, `https://`, `hf://`, `oci://`), beside the rights to load",
    "serve": "Serve it (`serve`, second half of `deploy`)",
    "prove": "Prove it (`verify`, end of `deploy`)",
    "in-place": "Edit a service in place, and back (`--in-place`, `rollback`)",
    "look": "Look (`status`, `doctor`, `ls`)",
    "retain-class": "Keep the data by a copy of the class (`--retain class`)",
    "retain-volume": "Keep the data on the bound volume (`--retain volume`)",
    "retain": "Keep the data of a claim that exists, and back (`retain`)",
    "release": "Give a claim up (`release`)",
    "adopt": "Make a Released volume a claim again (`adopt`)",
    "resize": "Grow a claim (`resize`)",
    "rm": "Remove a model (`rm`)",
    "share": "Share a claim's data with another namespace (`share`): in the namespace of the claim",
    "share-to": "Share a claim's data with another namespace (`share`): in the other namespace",
    "unshare": "Give a share up (`unshare`)",
    "clone": "Clone a claim (`clone`)",
    "snapshot": "Clone a claim through a snapshot (`clone --snapshot`, or where the driver is not known to clone)",
    "gc": "Find and remove leftovers (`gc`)",
}
HEAD = """\
# Rights

<!-- From the code, by `python tests/unit/plan/rights_page.py`. -->

What an account needs to do what, and what is lost without the rights that are optional. Before anything changes, a
plan asks the API server for each right (SelfSubjectAccessReview) and refuses with exit code 4, naming what is missing,
with the Role that gives it. What is done without a right that is optional, the tables say.

`deploy` passes with the Roles of the main job, and is refused without any one verb of its Role; both are
tests on a real API server.
"""


def page() -> str:
    """The whole page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    yield "## The main job: `deploy`, `plan`, `load`, `serve`, `verify`\n"
    yield from _role(role_text(required(("load", "serve", "prove"), "llm")))
    yield "\nBind it with `kubectl create rolebinding pvserve --role=pvserve --serviceaccount=llm:ACCOUNT -n llm`. With"
    yield "`create` on `storageclasses` or `patch` on `persistentvolumes` (cluster-wide) pvserve retains the data"
    yield "itself; else the plan shows an administrator's command."
    yield "\nThe proof that no copy of the model is on the node's disk reads the kubelet's statistics where the"
    yield "server's image has no shell tools to measure with. Without this right too it says `unknown`, exit code 10:\n"
    yield from _role(role_text([STATISTICS], "pvserve-node-statistics"))
    for use, title in USES.items():
        needs = [need for need in NEEDS if need.use == use]
        yield f"\n## {title}\n"
        yield "| verbs | resource | what for | without it |\n|---|---|---|---|"
        yield from (_row(need) for need in needs)
        yield ""
        yield from _role(role_text(required((use,), "llm"), f"pvserve-{use}"))


def _row(need: Need) -> str:
    resource = f"{need.resource}.{need.group}" if need.group else need.resource
    where = " (cluster-wide)" if need.cluster_wide else ""
    return f"| {', '.join(need.verbs)} | `{resource}`{where} | {need.why} | {need.without or '**required**'} |"


def _role(text: str) -> Iterator[str]:
    if text:
        yield f"```yaml\n{text}\n```"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
