"""The topic table: builders and parser are inverse, and each identity may do what its rows say and no more."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import LocalProtocolError, Refusal
from protocol.topics import (
    ROOT,
    SHARDS,
    SUBJECT,
    TOPICS,
    Role,
    TopicName,
    access_rules,
    node_rules,
    parse_topic,
    service_rules,
    shard_of,
    time_rules,
    topic,
)
from tests.support.messages import areas, nodes, streams

VALUES = {"area": areas, "node": nodes, "stream": streams, "controller": nodes}


@st.composite
def named_topics(draw: st.DrawFn) -> tuple[TopicName, dict[str, str]]:
    name = draw(st.sampled_from(TopicName))
    return name, {field: draw(VALUES[field]) for field in TOPICS[name].fields if field != "shard"}


@given(named_topics())
def test_a_topic_is_parsed_to_what_it_was_made_of(named: tuple[TopicName, dict[str, str]]) -> None:
    name, fields = named
    parsed = parse_topic(topic(name, **fields))
    assert parsed.name is name
    assert {field: value for field, value in parsed.fields.items() if field != "shard"} == fields


@given(st.text(max_size=60) | st.text(max_size=40).map(lambda text: f"{ROOT}/{text}"))
def test_any_text_is_a_row_or_a_refusal(text: str) -> None:
    try:
        parsed = parse_topic(text)
    except Refusal as refusal:
        assert refusal.reason == "unknown_topic"
    else:
        assert topic(parsed.name, **parsed.fields) == text


def test_every_row_is_there_and_within_the_rules() -> None:
    assert set(TOPICS) == set(TopicName)
    for row in TOPICS.values():
        levels = f"{ROOT}/{row.path}".split("/")
        assert len(levels) <= 6
        assert row.path.replace(SUBJECT, "").islower()
        assert row.qos in {0, 1}
        assert not row.retain or row.qos == 1


@pytest.mark.parametrize("value", ["", "N/1", "N 1", "N+", "#", "N001\n", "N" * 24, "Đ1"])
def test_what_is_no_name_makes_no_topic(value: str) -> None:
    with pytest.raises(LocalProtocolError):
        topic(TopicName.NODE_STATE, node=value)
    with pytest.raises(Refusal):
        parse_topic(f"{ROOT}/node/{value}/state")


def test_fields_must_be_those_of_the_row() -> None:
    for fields in ({}, {"area": "xa", "node": "N001"}):
        with pytest.raises(LocalProtocolError, match="has the fields"):
            topic(TopicName.PLAN, **fields)
    with pytest.raises(LocalProtocolError):
        topic(TopicName.TELEMETRY)


def test_any_value_is_a_wildcard_with_its_shards() -> None:
    assert topic(TopicName.NODE_STATE, node="+") == "loaxa/1/node/+/state"
    assert topic(TopicName.REPORT, node="+") == "loaxa/1/report/+/+"
    assert topic(TopicName.REPORT, node="+", shard="07") == "loaxa/1/report/07/+"


def test_a_node_in_a_shard_that_is_not_its_own_is_refused() -> None:
    own = shard_of("N001")
    other = f"{(int(own) + 1) % SHARDS:02d}"
    assert parse_topic(f"{ROOT}/report/{own}/N001").name is TopicName.REPORT
    with pytest.raises(Refusal, match="unknown_topic"):
        parse_topic(f"{ROOT}/report/{other}/N001")


@given(nodes)
def test_shards_are_two_digits_below_sixteen(node: str) -> None:
    assert re.fullmatch(r"[0-9]{2}", shard_of(node))
    assert int(shard_of(node)) < SHARDS


def test_a_node_may_write_only_what_bears_its_name() -> None:
    for line in access_rules(controllers=("controller1",)).splitlines():
        if line.startswith("pattern write"):
            assert line.split("/").count("%u") == 1
        if line.startswith("pattern read") and "/node/" in line:
            assert "/%u/" in line


def test_the_second_connection_has_the_time_and_the_first_all_else() -> None:
    ours = [line for line in time_rules().splitlines() if not line.startswith("#")]
    assert ours == ["pattern write loaxa/1/time/+/%u", "pattern read loaxa/1/node/%u/time"]
    assert not set(ours) & set(node_rules().splitlines())
    assert "pattern" not in service_rules(controllers=("controller1",))
    assert "%u" not in service_rules(controllers=("controller1",))


def test_topics_of_the_time_bear_the_subject_of_the_certificate() -> None:
    assert topic(TopicName.TIME_REPLY, node="N001") == "loaxa/1/node/CN=N001/time"
    assert topic(TopicName.TIME_REQUEST, node="+") == "loaxa/1/time/+/+"
    assert topic(TopicName.TIME_REPLY, node="+") == "loaxa/1/node/+/time"
    assert parse_topic("loaxa/1/node/CN=N001/time").fields == {"node": "N001"}
    for other in ("loaxa/1/node/N001/time", f"loaxa/1/time/{shard_of('N001')}/N001", "loaxa/1/node/CN=CN=N001/time"):
        with pytest.raises(Refusal, match="unknown_topic"):
            parse_topic(other)


def test_every_row_has_its_rule() -> None:
    rules = access_rules(controllers=("controller1",)).splitlines()
    written_by_nodes = [row for row in TOPICS.values() if row.writer is Role.NODE]
    assert len([line for line in rules if line.startswith("pattern write")]) == len(written_by_nodes)
    assert len([line for line in rules if line.startswith("topic ")]) == len(TOPICS)
    assert "topic readwrite loaxa/1/controller/controller1/state" in rules
    assert not [line for line in rules if line.startswith(("pattern readwrite", "topic write"))]


@pytest.mark.parametrize("name", ["", "a b", "a\ntopic readwrite #", "+"])
def test_a_controllers_name_cannot_add_a_rule(name: str) -> None:
    with pytest.raises(LocalProtocolError):
        access_rules(controllers=(name,))
