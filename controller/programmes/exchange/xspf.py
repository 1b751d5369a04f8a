"""Playlists as XSPF files, read and written; pure.

XSPF (xspf.org) is XML: a playlist, a list of tracks, each with locations, a title and a length in milliseconds. Our own
item goes along in an `extension`, which other programs pass over.

Rules kept: no document type, no entities, nothing from outside (defusedxml); of several locations the first counts; a
`file:` address is a path; what stands in other namespaces is passed over.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from defusedxml.common import DefusedXmlException  # type: ignore[import-untyped]  # publishes no types
from defusedxml.ElementTree import fromstring  # type: ignore[import-untyped]  # as above

from controller.errors import ExchangeError
from controller.programmes.exchange.playlist import (
    Entry,
    entry_of,
    location_of,
    own_item,
    own_text,
    require_count,
    require_size,
)
from controller.programmes.programme import Item

NAMESPACE: Final = "http://xspf.org/ns/0/"
OWN_EXTENSION: Final = "urn:x-loaxa:item"
MS_PER_S: Final = 1000
LENGTH_DIGITS_MAX: Final = 12
URI_SAFE: Final = "/:?#[]@!$&'()*+,;=%~-._"
_IN: Final = {"x": NAMESPACE}
_NOT_XML: Final = re.compile("[\x00-\x1f\ud800-\udfff\ufffe\uffff]")


def read_xspf(data: bytes) -> tuple[Entry, ...]:
    """The entries of a file. Raises ExchangeError."""
    require_size(data)
    try:
        root: ET.Element = fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        reason = "tệp có DTD hoặc thực thể / a playlist has no document type and no entities; refused"
        raise ExchangeError(reason) from error
    except (ET.ParseError, ValueError, LookupError) as error:
        raise ExchangeError(f"không phải XML / this is no XML, so no XSPF: {str(error)[:120]}") from error
    if root.tag != f"{{{NAMESPACE}}}playlist":
        raise ExchangeError(f"không phải XSPF / this XML is no XSPF playlist (namespace {NAMESPACE})")
    return require_count([_entry_of(track) for track in root.findall("x:trackList/x:track", _IN)])


def write_xspf(
    items: Sequence[Item], *, title: str, feeds: Mapping[str, str], lengths_s: Mapping[int, float] | None = None
) -> bytes:
    """A file of items; `feeds`: addresses by name; `lengths_s`: by place, where they are known."""
    ET.register_namespace("", NAMESPACE)
    root = ET.Element(f"{{{NAMESPACE}}}playlist", {"version": "1"})
    _add(root, "title", title)
    tracks = ET.SubElement(root, f"{{{NAMESPACE}}}trackList")
    for number, item in enumerate(items):
        track = ET.SubElement(tracks, f"{{{NAMESPACE}}}track")
        _add(track, "location", quote(location_of(item, feeds), safe=URI_SAFE))
        _add(track, "title", item.title or title)
        seconds = item.duration_s or (lengths_s or {}).get(number)
        if seconds is not None:
            _add(track, "duration", str(round(seconds * MS_PER_S)))
        own = ET.SubElement(track, f"{{{NAMESPACE}}}extension", {"application": OWN_EXTENSION})
        own.text = own_text(item)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _entry_of(track: ET.Element) -> Entry:
    written = (track.findtext("x:location", "", _IN) or track.findtext("x:title", "", _IN)).strip()
    address = urlsplit(written) if written.startswith("file:") else None
    length = track.findtext("x:duration", "", _IN).strip()
    item = None
    for extension in track.findall("x:extension", _IN):
        if extension.get("application") == OWN_EXTENSION:
            item = own_item(extension.text)
    is_length = length.isascii() and length.isdigit() and len(length) <= LENGTH_DIGITS_MAX
    return entry_of(
        unquote(address.path) if address else written,
        title=track.findtext("x:title", None, _IN),
        duration_s=int(length) / MS_PER_S if is_length else None,
        item=item,
    )


def _add(parent: ET.Element, name: str, text: str) -> None:
    """An element with a text; what XML cannot hold is left out."""
    ET.SubElement(parent, f"{{{NAMESPACE}}}{name}").text = _NOT_XML.sub("", text)
