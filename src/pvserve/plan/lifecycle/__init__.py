"""Plans of the commands on claims and volumes: retain, release, adopt, resize, rm, share, gc, clone. Pure."""

from pvserve.plan.lifecycle.adopt import adopt_plan
from pvserve.plan.lifecycle.cloning import clone_plan
from pvserve.plan.lifecycle.collecting import gc_plan
from pvserve.plan.lifecycle.release import release_plan
from pvserve.plan.lifecycle.removing import remove_plan
from pvserve.plan.lifecycle.resize import resize_plan
from pvserve.plan.lifecycle.retaining import retain_plan, undo_retain_plan
from pvserve.plan.lifecycle.sharing import share_plan, unshare_plan

__all__ = [
    "adopt_plan",
    "clone_plan",
    "gc_plan",
    "release_plan",
    "remove_plan",
    "resize_plan",
    "retain_plan",
    "share_plan",
    "undo_retain_plan",
    "unshare_plan",
]
