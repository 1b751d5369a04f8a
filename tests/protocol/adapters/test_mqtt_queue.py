"""What waits to be published is bounded, fresh and in order; what is subscribed survives the broker."""

from __future__ import annotations

from protocol.adapters.mqtt_queue import LATEST_MAX, OutgoingQueue
from protocol.adapters.mqtt_subscriptions import TOPICS_PER_PACKET_MAX, Subscriptions


def put(
    queue: OutgoingQueue,
    payload: bytes,
    *,
    qos: int = 1,
    retain: bool = False,
    topic: str = "t",
    expiry_s: int | None = None,
) -> bool:
    return queue.put(topic, payload, qos=qos, retain=retain, expiry_s=expiry_s)


def drain(queue: OutgoingQueue, *, is_lasting_allowed: bool = True) -> list[bytes]:
    taken = []
    while message := queue.take(is_lasting_allowed=is_lasting_allowed):
        taken.append(message.payload)
    return taken


def test_what_is_for_now_is_not_taken_without_a_connection() -> None:
    queue = OutgoingQueue(queued_max=10)
    assert not put(queue, b"1", qos=0)
    queue.open()
    assert put(queue, b"2", qos=0)
    queue.close()
    assert drain(queue) == []
    assert queue.dropped == 2


def test_what_is_for_now_goes_first_and_the_oldest_gives_way() -> None:
    queue = OutgoingQueue(queued_max=10)
    queue.open()
    put(queue, b"lasting")
    for number in range(LATEST_MAX + 2):
        put(queue, b"%d" % number, qos=0)
    taken = drain(queue)
    assert taken[0] == b"2"
    assert taken[-1] == b"lasting"
    assert len(taken) == LATEST_MAX + 1
    assert queue.dropped == 2


def test_the_queue_that_lasts_is_bounded_and_counts_what_it_refuses() -> None:
    queue = OutgoingQueue(queued_max=2)
    assert [put(queue, b"%d" % number) for number in range(4)] == [True, True, False, False]
    assert drain(queue) == [b"0", b"1"]
    assert queue.dropped == 2


def test_a_newer_retained_message_takes_the_place_of_the_older() -> None:
    queue = OutgoingQueue(queued_max=2)
    put(queue, b"old", retain=True, topic="state")
    put(queue, b"report")
    assert put(queue, b"new", retain=True, topic="state"), "it needs no room of its own"
    assert drain(queue) == [b"report", b"new"]


def test_nothing_lasting_is_given_while_too_much_is_in_flight() -> None:
    queue = OutgoingQueue(queued_max=2)
    put(queue, b"lasting")
    assert drain(queue, is_lasting_allowed=False) == []
    assert drain(queue) == [b"lasting"]


def test_what_expired_while_it_waited_is_not_sent() -> None:
    queue = OutgoingQueue(queued_max=5)
    put(queue, b"late", expiry_s=-1)
    put(queue, b"in time", expiry_s=60)
    assert drain(queue) == [b"in time"]
    assert queue.dropped == 1


def test_a_new_session_asks_for_everything_and_a_kept_one_for_the_difference() -> None:
    wished = Subscriptions()
    wished.want([("a", 1), ("b", 0)])
    wished.connected(session_present=False)
    assert wished.to_request() == [[("a", 1), ("b", 0)]]
    assert wished.to_request() == []
    wished.requested(1, ["a", "b"])
    assert wished.answered(1, [True, False]) == ["b"]
    wished.connected(session_present=True)
    assert wished.to_request() == [[("b", 0)]], "what was refused is asked for again on the next connection"
    wished.connected(session_present=False)
    assert wished.to_request() == [[("a", 1), ("b", 0)]]


def test_what_is_no_longer_wished_is_dropped_also_after_an_absence() -> None:
    wished = Subscriptions()
    wished.want([("a", 1)])
    wished.connected(session_present=False)
    wished.requested(1, [topic for packet in wished.to_request() for topic, _ in packet])
    wished.answered(1, [True])
    wished.unwant(["a", "never"])
    wished.connected(session_present=True)
    assert wished.to_drop() == [["a"]]
    assert wished.to_drop() == []


def test_packets_are_of_bounded_size() -> None:
    wished = Subscriptions()
    wished.want([(f"t{number}", 0) for number in range(TOPICS_PER_PACKET_MAX + 1)])
    wished.connected(session_present=False)
    assert [len(packet) for packet in wished.to_request()] == [TOPICS_PER_PACKET_MAX, 1]
