"""Which channel is taken, and that a better one that was passed over is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvserve.errors import Refused
from pvserve.events import Note
from pvserve.model import DigestCache, listing
from pvserve.transfer import Target, Via, channel, channels, load
from pvserve.transfer.agent.frames import Broken

from .pod import LocalPod, contents


@pytest.mark.parametrize("via", ["pod", "proxy"])
def test_signs_of_life_on_streams_that_wait_disturb_nothing(
    via: Via, source: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They begin before the agent knows a file."""
    monkeypatch.setattr(channel, "IDLE_PING_SECONDS", 0.001)
    pod = LocalPod(address="127.0.0.1", can_proxy=True)
    done = load(listing(source), pod, Target("granite", "vllm", str(claim)), via=via, cache=cache)
    assert contents(claim / "granite") == contents(source)
    assert done.sent_bytes == done.manifest.bytes
    assert len(pod.runs) == 1  # one session


NEXT = {"proxy": {"can_proxy": True, "can_forward": True}, "port-forward": {"can_forward": True}, "exec": {}}


@pytest.mark.parametrize("taken", NEXT)
def test_a_channel_that_breaks_half_way_does_not_spoil_the_next(
    taken: str, source: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first listener has met its client by then, and is gone with it."""
    connect = channels._direct

    def cut(name: str, *rest: object) -> channels.Channel:
        found = connect(name, *rest)  # type: ignore[arg-type]
        if name == "pod":
            found.close()
            raise OSError("cut by the test")
        return found

    monkeypatch.setattr(channels, "_direct", cut)
    heard: list[object] = []
    pod = LocalPod(address="127.0.0.1", **NEXT[taken])
    done = load(listing(source), pod, Target("granite", "vllm", str(claim)), cache=cache, listen=heard.append)
    assert done.channel == taken
    assert contents(claim / "granite") == contents(source)
    [note] = [event for event in heard if isinstance(event, Note)]
    assert f"by {taken}" in note.text
    assert "pod: cut by the test" in note.text


@pytest.mark.parametrize("gone", [Broken("the stream ended"), ConnectionResetError("reset")])
def test_a_fixed_channel_whose_listener_went_away_is_opened_anew(
    gone: Exception, source: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a client that slept while it connected: the listener waits ten seconds only."""
    connect = channels._direct
    met: list[int] = []

    def late(name: str, *rest: object) -> channels.Channel:
        met.append(len(met))
        if len(met) == 1:
            raise gone
        return connect(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(channels, "_direct", late)
    done = load(listing(source), LocalPod(address="127.0.0.1"), Target("g", "vllm", str(claim)), via="pod", cache=cache)
    assert (done.channel, len(met)) == ("pod", 2)
    assert contents(claim / "g") == contents(source)


def test_a_fixed_channel_that_never_opens_is_refused(
    source: Path, claim: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    met: list[str] = []

    def never(name: str, *_rest: object) -> channels.Channel:
        met.append(name)
        raise Broken("the stream ended")

    monkeypatch.setattr(channels, "_direct", never)
    with pytest.raises(Refused, match="the channel pod does not work here: pod: the stream ended") as refused:
        load(listing(source), LocalPod(address="127.0.0.1"), Target("g", "vllm", str(claim)), via="pod", cache=cache)
    assert (refused.value.reason, len(met)) == ("ChannelUnavailable", channels.FIXED_TRIES)
