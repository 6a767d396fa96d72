from carillon.streams.live.rates import RateLimiter


def test_without_a_limit_nobody_waits_and_nobody_is_refused() -> None:
    rate = RateLimiter(0)
    assert not rate.is_limited
    assert [rate.spend(10**9, 0.0) for _ in range(3)] == [0.0] * 3
    assert rate.allows(10**9, 0.0)


def test_what_may_come_in_a_second_may_come_at_once() -> None:
    rate = RateLimiter(5)
    for _ in range(5):
        assert rate.allows(1, 10.0)
        assert rate.spend(1, 10.0) == 0.0
    assert not rate.allows(1, 10.0)
    assert not rate.allows(1, 10.19)
    assert rate.allows(1, 10.2)
    assert all(rate.allows(1, 11.0) and not rate.spend(1, 11.0) for _ in range(5))
    assert not rate.allows(1, 11.0)


def test_whoever_does_more_pauses_for_as_long_as_the_rate_says() -> None:
    rate = RateLimiter(100)
    assert rate.spend(100, 0.0) == 0.0
    assert rate.spend(50, 0.0) == 0.5
    assert not rate.allows(0, 0.4)
    assert rate.allows(0, 0.5)
    now = 0.0
    for _ in range(1_000):
        now += rate.spend(10, now)
    assert abs(now - 100) < 1  # ten times a thousand at a hundred a second, give or take what came at once


def test_a_rate_below_one_a_second_still_lets_one_come() -> None:
    rate = RateLimiter(0.1)
    assert rate.allows(1, 0.0)
    assert rate.spend(1, 0.0) == 0.0
    assert not rate.allows(1, 9.9)
    assert rate.allows(1, 10.0)
