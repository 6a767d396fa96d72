import pytest

from carillon.inference import WORDS_PRIOR, Models
from carillon.inference.sentences import SentenceEncoder
from carillon.inference.sentiment import Sentiment, Vader, plain
from carillon.inference.tone import LABELS, Probabilities


@pytest.fixture(scope="module")
def sentiment(models: Models) -> Sentiment:
    head = models.catalog.find("call-words-1", "text")
    encoder = SentenceEncoder(models.catalog.find("all-minilm-l6-v2-int8", "encoder"))
    return Sentiment(head, encoder, Vader())


def _label(probabilities: Probabilities) -> str:
    return LABELS[probabilities.index(max(probabilities))]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("charged twice and nobody helps", "negative"),
        ("you sent me three letters about a debt that is not mine", "negative"),
        ("this is the second time that my order is wrong and i am fed up", "negative"),
        ("that is so kind of you, you really helped me", "positive"),
        ("what a relief, thank you so much", "positive"),
        ("okay", "neutral"),
        ("yes my number is four four one two", "neutral"),
        ("hello, how can i help you", "neutral"),
        ("could you tell me the postcode please", "neutral"),
        ("kids are talking by the door", "neutral"),
        ("dogs are sitting by the door", "neutral"),
        ("", "neutral"),
    ],
)
def test_words_have_the_tone_that_a_person_would_read_in_them(sentiment: Sentiment, text: str, label: str) -> None:
    probabilities = sentiment.of(text)
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)
    assert _label(probabilities) == label


def test_punctuation_and_case_make_no_difference_since_nobody_hears_them(sentiment: Sentiment) -> None:
    assert sentiment.of("I don't like it. Not at ALL!") == sentiment.of("i don't like it not at all")


def test_only_what_can_be_heard_is_kept() -> None:
    assert plain("Well,  I\u2019m FINE; it's 12.50!") == "well i'm fine it's 12 50"
    assert plain("\u266a\u266a ...") == ""


def test_the_model_card_says_what_the_head_cannot_do(models: Models) -> None:
    weights = models.catalog.find("call-words-1", "text")
    card = weights.path.with_suffix(".md").read_text(encoding="utf-8")
    assert "One author wrote both halves" in card
    assert "VADER alone" in card


@pytest.mark.parametrize(
    "text", ["Thank you for calling!", "Good morning.", "How can I help you?", "Have a great day, you're very welcome."]
)
def test_manners_are_no_mood(sentiment: Sentiment, text: str) -> None:
    assert sentiment.of(text) == WORDS_PRIOR


def test_what_is_said_beside_manners_counts(sentiment: Sentiment) -> None:
    said = "I have been charged twice and I am furious"
    assert sentiment.of(f"Good morning. {said}") == sentiment.of(said)
