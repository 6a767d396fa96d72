import re

import botocore.loaders
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.api.protocol.patterns import full_match

SERVICES = (
    "chime-sdk-media-pipelines",
    "chime-sdk-voice",
    "kinesisvideo",
    "kinesis-video-media",
    "kinesis-video-archived-media",
)


def all_patterns() -> set[str]:
    loader = botocore.loaders.Loader()
    models = [loader.load_service_model(name, "service-2") for name in SERVICES]
    return {shape["pattern"] for model in models for shape in model["shapes"].values() if "pattern" in shape}


@pytest.mark.parametrize("pattern", sorted(all_patterns()))
def test_every_pattern_of_the_models_is_understood(pattern: str) -> None:
    full_match(pattern)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("^[0-9]+$", ["0", "123"], ["", "1\n", "１", "1a"]),
        ("[a-zA-Z0-9_.-]+", ["a-b.c_9"], ["ä", "a b", "a\n"]),
        (r"[\w\-\.\+]+/[\w\-\.\+]+(,[\w\-\.\+]+/[\w\-\.\+]+)*", ["video/h264,audio/x-a+b"], ["video", "vidéo/x"]),
        (r".*\S.*", ["a", "  a b ", "\ta", "ü"], ["", "   ", "\t", "a\nb", "\n", "a\u2028b"]),
        (".+", ["a b", "ü\x00"], ["", "a\r", "a\u0085"]),
        (
            r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$",
            ["", "Größe 1_a", "東京\u00a0Ⅷ", "a+b=c@d-e"],
            ["a!", "é\u0301", "🙂", "\n"],
        ),
        (r"^[-_a-zA-Z0-9]*${2,64}$", ["ab", "a" * 64, "-_"], ["", "a", "a" * 65, "a b"]),
        (r"^\+?[1-9]\d{1,14}$", ["+4915112345", "12"], ["+0", "+49١٢٣"]),
        (r"[^\n]{11,100}", ["a" * 11, "\r" * 11], ["a" * 10, "a" * 10 + "\n"]),
        (r"^$|^[a-zA-Z0-9 ]{2,15}$", ["", "ab"], ["a", "a\n"]),
    ],
)
def test_a_pattern_means_what_it_means_in_java(pattern: str, matching: list[str], other: list[str]) -> None:
    assert [text for text in matching if not full_match(pattern)(text)] == []
    assert [text for text in other if full_match(pattern)(text)] == []


@given(st.text("a \t\x0b\n\r\u2028", max_size=8))
def test_the_amended_pattern_for_something_visible_means_the_same(text: str) -> None:
    plain = re.compile(r"[^\n\r\x85\u2028\u2029]*[^ \t\n\x0b\f\r\u2028][^\n\r\x85\u2028\u2029]*")
    assert bool(full_match(r".*\S.*")(text)) == bool(plain.fullmatch(text))


def test_a_long_value_takes_linear_time() -> None:
    assert not full_match(r".*\S.*")("a" * 1_000_000 + "\n")
    assert not full_match(r".*\S.*")(" " * 1_000_000)


@pytest.mark.parametrize("pattern", [r"\bword", r"(a)\1", r"[\S]", "[\\p{L}"])
def test_what_we_do_not_translate_is_refused(pattern: str) -> None:
    with pytest.raises(re.error):
        full_match(pattern)
