from concurrent.futures import ThreadPoolExecutor

from carillon.audio import Pcm
from carillon.inference import AcousticJudgment, Models, ModelSettings, SpeakerBaseline

DEFAULTS = ModelSettings()


def test_a_model_is_loaded_once_however_many_threads_ask() -> None:
    fresh = Models()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: id(fresh.vad), range(32)))
    assert found == {id(fresh.vad)}


def test_everything_can_be_loaded_before_the_first_call() -> None:
    fresh = Models()
    fresh.load()
    assert [fresh.vad.id, fresh.speaker.id, fresh.tone.id] == [DEFAULTS.vad, DEFAULTS.speaker, DEFAULTS.tone]


def test_threads_do_not_disturb_each_other(models: Models, anna: Pcm, bert: Pcm) -> None:
    def judge(speech: Pcm) -> AcousticJudgment:
        return models.tone.judge(speech, SpeakerBaseline())[0]

    alone = [judge(anna), judge(bert)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(judge, [anna, bert] * 4)) == alone * 4


def test_tone_does_not_listen_through_the_speaker_model(models: Models) -> None:
    """It is the costliest of all, and speaker search asks it a few times in a call."""
    sessions = [source.__self__ for source in models.tone._sources.values() if hasattr(source, "__self__")]
    assert sessions
    assert models.speaker not in sessions
