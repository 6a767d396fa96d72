from concurrent.futures import ThreadPoolExecutor

from carillon.audio import Pcm
from carillon.inference import Models, Settings

DEFAULTS = Settings()


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
    alone = [models.tone.probabilities(anna), models.tone.probabilities(bert)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(models.tone.probabilities, [anna, bert] * 4))
    assert together == alone * 4
