"""Playlists of other programs, and hostile ones; what we write is read again as it was."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from controller.errors import ExchangeError
from controller.programmes.exchange.m3u import read_m3u, write_m3u
from controller.programmes.exchange.playlist import PLAYLIST_BYTES_MAX, Entry, Sources, items_of
from controller.programmes.exchange.xspf import read_xspf, write_xspf
from controller.programmes.programme import Item

SONG = "ab" * 32
FEEDS = {"vov1": "https://str.vov.gov.vn/vovlive/vov1vov5Vietnamese.sdp_aac/playlist.m3u8?a=1&b=2"}
SOURCES = Sources(
    feeds={address: feed for feed, address in FEEDS.items()},
    media={"Bài ca hoà bình.mp3": SONG},
    bulletins=frozenset({"tiem-chung"}),
)
M3U = """\ufeff#EXTM3U
#EXTENC: UTF-8
#PLAYLIST:Buổi sáng
#EXTINF:214 tvg-id="x, y" group-title="Nhạc",Bài ca, hoà bình
C:\\Nhạc\\Bài ca hoà bình.MP3

#EXTINF:1800,Thời sự
https://str.vov.gov.vn/vovlive/vov1vov5Vietnamese.sdp_aac/playlist.m3u8?a=1&b=2
#EXTVLCOPT:network-caching=1000
#EXTINF:-1,Đài lạ
http://example.com/live.mp3
../khong-co.ogg
"""
XSPF = """<?xml version="1.0" encoding="UTF-8"?>
<playlist version="1" xmlns="http://xspf.org/ns/0/" xmlns:vlc="http://www.videolan.org/vlc/playlist/ns/0/">
  <title>Buổi sáng</title>
  <trackList>
    <track>
      <location>file:///C:/Nh%E1%BA%A1c/B%C3%A0i%20ca%20ho%C3%A0%20b%C3%ACnh.mp3</location>
      <title>Bài ca hoà bình</title><creator>Đội văn nghệ</creator><duration>214000</duration>
      <extension application="http://www.videolan.org/vlc/playlist/0"><vlc:id>0</vlc:id></extension>
    </track>
    <track><location>urn:x-loaxa:bulletin:tiem-chung</location></track>
    <track><title>Bài ca hoà bình</title></track>
    <track><location>urn:x-loaxa:bulletin:khong-co</location></track>
  </trackList>
</playlist>
"""


def test_an_m3u_of_another_program_becomes_items_of_what_is_here() -> None:
    entries = read_m3u(M3U.encode())
    assert entries[0] == Entry(location="C:\\Nhạc\\Bài ca hoà bình.MP3", title="Bài ca, hoà bình", duration_s=214)
    assert [entry.title for entry in entries] == ["Bài ca, hoà bình", "Thời sự", "Đài lạ", None]
    found = items_of(entries, SOURCES)
    assert found.items == (
        Item(media=SONG, title="Bài ca, hoà bình"),
        Item(feed="vov1", duration_s=1800, title="Thời sự"),
    )
    assert [told.partition(":")[0] for told in found.left_out] == ["Đài lạ", "../khong-co.ogg"]
    assert "media add" in found.left_out[1]


def test_an_xspf_of_another_program_becomes_items_of_what_is_here() -> None:
    found = items_of(read_xspf(XSPF.encode()), SOURCES)
    assert found.items == (
        Item(media=SONG, title="Bài ca hoà bình"),
        Item(bulletin="tiem-chung"),
        Item(media=SONG, title="Bài ca hoà bình"),
    )
    assert len(found.left_out) == 1
    assert "khong-co" in found.left_out[0]


def test_a_feed_whose_length_nobody_says_is_told_or_has_the_usual_one() -> None:
    entries = read_m3u(f"{FEEDS['vov1']}\n".encode())
    assert "how long" in items_of(entries, SOURCES).left_out[0]
    usual = Sources(feeds=SOURCES.feeds, feed_s=900)
    assert items_of(entries, usual).items == (Item(feed="vov1", duration_s=900),)


def test_a_file_of_vietnamese_windows_is_read() -> None:
    text = "#EXTINF:10,Đêm đông\r\nD:\\Nhac\\dem.mp3\r\n"
    assert read_m3u(text.encode("cp1258", "ignore"))[0].title is not None
    assert read_m3u("#EXTINF:10,Đông\r\na.mp3".encode("cp1258"))[0].title == "Đông"


texts = st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable() and text == text.strip())
items = st.one_of(
    st.builds(Item, media=st.just(SONG), title=st.none() | texts, in_turns=st.booleans(), chime=st.booleans()),
    st.builds(Item, feed=st.sampled_from(["vov1", "la"]), duration_s=st.integers(1, 86_400)),
    st.builds(Item, bulletin=st.just("tiem-chung"), valid_until=st.just("2026-12-31")),
    st.builds(Item, text=st.text(min_size=1, max_size=200), language=st.just("vi"), title=st.none() | texts),
    st.builds(Item, file=texts),
)


@given(order=st.lists(items, min_size=1, max_size=8), title=st.text(max_size=30))
@example(order=[Item(feed="vov1", duration_s=1)], title="\x00\ufffe")
@example(order=[Item(text="a\u2028b\x85\x0b\ufffe\n\r]]>&<", title="\u2028")], title="a\nb")
def test_what_we_write_is_read_again_as_it_was(order: list[Item], title: str) -> None:
    for write, read in ((write_m3u, read_m3u), (write_xspf, read_xspf)):
        found = items_of(read(write(order, title=title, feeds=FEEDS, lengths_s={0: 12.5})), SOURCES)
        assert found.items == tuple(order)
        assert found.left_out == ()


def bomb(depth: int) -> bytes:
    return b'<playlist version="1" xmlns="http://xspf.org/ns/0/">' + b"<a>" * depth + b"</a>" * depth + b"</playlist>"


DOCTYPE = b'<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>'
EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE p [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
ONE = (
    b'<playlist xmlns="http://xspf.org/ns/0/"><trackList><track><location>%b</location></track></trackList></playlist>'
)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (DOCTYPE + ONE % b"&b;", "document type"),
        (b"<!DOCTYPE playlist>" + ONE % b"x", "document type"),
        (EXTERNAL + ONE % b"&a;", "document type"),
        (ONE % b"&undefined;", "no XML"),
        (b"<playlist>", "no XML"),
        (b"", "no XML"),
        (b"\xff\xfe<", "no XML"),
        (b'<?xml version="1.0" encoding="klingon"?><a/>', "no XML"),
        (b"<rss/>", "namespace"),
        (b'<playlist xmlns="http://xspf.org/ns/0/"/>', "empty"),
        (bomb(50_000), "empty"),
        (ONE % (b"x" * 3000), "location"),
        (ONE % b"x" + b" " * PLAYLIST_BYTES_MAX, "at most"),
        (ONE.replace(b"<track><location>%b</location></track>", b"<track><location>a</location></track>" * 65), "65"),
    ],
)
def test_a_hostile_xspf_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(ExchangeError, match=word):
        read_xspf(data)


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"", "empty"),
        (b"#EXTM3U\n# nothing\n", "empty"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\na.ts\n", "HLS"),
        ("a.mp3".encode("utf-16"), "no text"),
        (b"a\xc3\x28\xd2.mp3\x01\n", "location"),
        (b"x" * 3000, "location"),
        (b"a.mp3\n" * 65, "65"),
        (b"a" * (PLAYLIST_BYTES_MAX + 1), "at most"),
    ],
)
def test_a_hostile_m3u_is_refused(data: bytes, word: str) -> None:
    with pytest.raises(ExchangeError, match=word):
        read_m3u(data)


@given(data=st.binary(max_size=200) | st.text(alphabet='#EXTINF:0123456789,-.\n"= /a', max_size=200).map(str.encode))
@example(data=b"#EXTINF:1e999,x\na")
@example(data=b"#EXTINF:999999999999999,x\na")
@example(data=b"#LOAXA-ITEM:{}\na")
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (read_m3u, read_xspf):
        try:
            entries = read(data)
        except ExchangeError as error:
            assert str(error)
        else:
            found = items_of(entries, SOURCES)
            assert len(found.items) + len(found.left_out) == len(entries)
