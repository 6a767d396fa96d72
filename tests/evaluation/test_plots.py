from base64 import b64decode
from xml.etree import ElementTree as ET

from carillon.evaluation.plots import SHARES, Axis, Series, chart

SHARE = Axis("a < b", SHARES)
LINES = [Series("rising & <i>", [(0.1, 0.2), (2.0, 0.9)]), Series("nobody", [], dashed=True, marked=True)]


def _svg(image: str) -> ET.Element:
    head, _, data = image.partition(",")
    assert head == "data:image/svg+xml;base64"
    return ET.fromstring(b64decode(data))


def test_a_drawing_says_what_it_shows() -> None:
    drawn = chart("share of <b>", SHARE, Axis("right", SHARES), LINES, diagonal=True)
    texts = {element.text for element in _svg(drawn.image).iter() if element.tag.endswith("text")}
    assert {"share of <b>", "a < b", "right", "rising & <i>", "nobody", "0.2"} <= texts
    assert drawn.title == "share of <b>"


def test_the_same_figures_are_the_same_drawing() -> None:
    assert chart("one", SHARE, SHARE, LINES) == chart("one", SHARE, SHARE, LINES)


def test_what_is_beyond_the_ends_stands_at_the_end() -> None:
    assert SHARE.place(-3) == 0.0
    assert SHARE.place(3) == 1.0
