"""Pages of other origins and the polling transport."""

import pytest

from socketio_wire.support import engineio, fetch, web

POLLING = "EIO=4&transport=polling"
FLEET = "https://fleet.example"
EVIL = "https://evil.example"
FORBIDDEN = 4


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "content-type,x-other",
    }


def words(field: str) -> set[str]:
    return {word.strip().lower() for word in field.split(",")}


async def test_a_preflight_is_answered_for_any_page_by_default() -> None:
    async with engineio() as here, web(here.port) as one:
        target = f"{here.path}?{POLLING}"
        answer = await one.fetch("OPTIONS", target, headers=preflight(EVIL))
        assert answer.status in (200, 204)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert words(answer.headers["access-control-allow-methods"]) == {"get", "post"}
        assert words(answer.headers["access-control-allow-headers"]) >= {"content-type", "x-other"}
        # The connection is in step: what comes next is answered.
        assert (await one.fetch("GET", target)).status == 200


async def test_a_preflight_of_a_listed_origin_names_it() -> None:
    async with engineio(origins=[FLEET, "https://other.example"], cors_methods=["GET"]) as here:
        target = f"{here.path}?{POLLING}"
        answer = await fetch(here.port, "OPTIONS", target, headers=preflight(FLEET))
        assert answer.status in (200, 204)
        assert answer.headers["access-control-allow-origin"] == FLEET
        assert words(answer.headers["access-control-allow-methods"]) == {"get"}
        assert "origin" in words(answer.headers["vary"])


async def test_a_preflight_of_an_origin_not_listed_allows_nothing() -> None:
    async with engineio(origins=[FLEET]) as here:
        _ = here.pool
        target = f"{here.path}?{POLLING}"
        answer = await fetch(here.port, "OPTIONS", target, headers=preflight(EVIL))
        assert answer.status == 403
        assert "access-control-allow-origin" not in answer.headers


async def test_a_preflight_opens_nothing_and_needs_no_session() -> None:
    async with engineio() as here:
        target = f"{here.path}?{POLLING}&sid=whatever"
        answer = await fetch(here.port, "OPTIONS", target, headers=preflight(FLEET))
        assert answer.status in (200, 204)
        assert here.gauge("connections") == 0


@pytest.mark.parametrize(
    ("origins", "allowed"), [(["*"], "*"), ([FLEET, "https://other.example"], FLEET)]
)
async def test_every_answer_says_who_may_read_it(origins: list[str], allowed: str) -> None:
    fields = {"Origin": FLEET}
    async with engineio(origins=origins) as here:
        session = await here.open(**fields)
        opened = await fetch(here.port, "GET", f"{here.path}?{POLLING}", headers=fields)
        posted = await session.post("4hello", **fields)
        polled = await session.poll(headers=fields)
        refused = await fetch(here.port, "GET", f"{here.path}?{POLLING}&sid=x", headers=fields)
        assert [answer.status for answer in (opened, posted, polled, refused)] == [200] * 3 + [400]
        for answer in (opened, posted, polled, refused):
            assert answer.headers["access-control-allow-origin"] == allowed
            # What depends on the origin is not to be kept for another.
            assert allowed == "*" or "origin" in words(answer.headers["vary"])


async def test_a_page_learns_of_a_body_over_the_limit_too() -> None:
    async with engineio(max_message_size=1000) as here:
        _ = here.pool
        session = await here.open()
        answer = await session.post("4" + "x" * 1000, Origin=FLEET)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (413, "*")


async def test_an_origin_that_is_not_listed_is_forbidden_polling() -> None:
    async with engineio(origins=[FLEET]) as here:
        _ = here.pool
        fields = {"Origin": EVIL}
        target = f"{here.path}?{POLLING}"
        answer = await fetch(here.port, "GET", target, headers=fields)
        assert (answer.status, answer.code) == (403, FORBIDDEN)
        assert "access-control-allow-origin" not in answer.headers
        assert here.gauge("connections") == 0
        session = await here.open(Origin=FLEET)
        for method, body in (("GET", None), ("POST", "1")):
            answer = await fetch(here.port, method, session.target, body=body, headers=fields)
            assert (answer.status, answer.code) == (403, FORBIDDEN)
        # Nor does the other origin's request end the session.
        await session.say("4hello")
        assert await session.packets() == ["4hello"]


@pytest.mark.parametrize(
    "origin", ["https://fleet.example.evil", "http://fleet.example", f"{FLEET}:8443", "null", ""]
)
async def test_an_origin_is_compared_whole(origin: str) -> None:
    async with engineio(origins=[FLEET]) as here:
        _ = here.pool
        target = f"{here.path}?{POLLING}"
        answer = await fetch(here.port, "GET", target, headers={"Origin": origin})
        assert (answer.status, answer.code) == (403, FORBIDDEN)


async def test_a_request_without_an_origin_is_no_page_s_and_let_in() -> None:
    async with engineio(origins=[FLEET]) as here:
        session = await here.open()
        await session.say("4hello")
        assert await session.packets() == ["4hello"]
        answer = await session.post("4hello")
        assert "access-control-allow-origin" not in answer.headers
