"""The catalogue: both languages complete, the documents' own sentences kept."""

from string import Formatter
from typing import get_args

import pytest

from dscore.messages import ReasonCode
from dscore.translations import CATALOGUE, Key, Sentence, text

KEYS: list[Key] = [*get_args(Sentence), *get_args(ReasonCode)]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_key_has_a_sentence(language: str) -> None:
    assert set(CATALOGUE[language]) == set(KEYS)
    assert all(CATALOGUE[language].values())


@pytest.mark.parametrize("key", KEYS)
def test_both_languages_take_the_same_fields(key: Key) -> None:
    english, korean = (
        {field for _, field, _, _ in Formatter().parse(CATALOGUE[language][key]) if field}
        for language in ("en", "ko")
    )
    assert english == korean


@pytest.mark.parametrize(
    ("key", "sentence"),
    [
        ("heartbeat_received", "하트비트 수신 완료"),
        ("heartbeat_failed", "하트비트 처리 중 오류 발생"),
        ("server_shutdown", "서버가 종료됩니다. 잠시 후 재연결을 시도해주세요."),
        ("server_running", "서버가 정상 동작 중입니다."),
        ("reconnect_timeout", "재연결 타임아웃"),
        ("heartbeat_timeout", "하트비트 타임아웃"),
        ("no_connection", "연결 없음"),
    ],
)
def test_korean_is_the_sentence_of_the_socketio_contract(key: Key, sentence: str) -> None:
    assert text("ko", key) == sentence


def test_fields_are_filled_in_and_not_read_again() -> None:
    assert text("en", "unknown_client", client="{client}") == "unknown client: {client}"
