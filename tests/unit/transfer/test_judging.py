"""When a file counts as moved: both sides' digests are known, equal, and not taken back."""

from pathlib import Path

from pvserve.model.digests import DigestCache
from pvserve.model.listing import listing
from pvserve.transfer.ask import Ask
from pvserve.transfer.judging import Judge
from pvserve.transfer.progress import Progress
from pvserve.transfer.values import Target

HERE = "a" * 64


def test_a_file_that_was_condemned_after_it_was_found_equal_has_to_come_again(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"x")
    ask = Ask(listing(tmp_path), Target("granite", "models"), "t", 1, False, [HERE], DigestCache(tmp_path / "seen"), {})
    judge = Judge(ask, Progress(1, 1, "models", lambda _: None), lambda: None, lambda _: None)
    judge.volume_digests([(0, HERE)])
    assert judge.done
    judge.again(0, "Input/output error")
    assert not judge.done
    judge.volume_digests([(0, HERE)])
    assert judge.done
