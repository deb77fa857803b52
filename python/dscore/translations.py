"""The sentences people read, in English and in Korean (the documents' own where they have one).

Machines read `reason_code`; nothing may depend on these. Log lines and refusals, which are for
programmers, are English only.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Literal, TypeAlias

from dscore.messages import ReasonCode

Language: TypeAlias = Literal["en", "ko"]
Sentence: TypeAlias = Literal[
    "heartbeat_received",
    "heartbeat_failed",
    "server_shutdown",
    "server_running",
    "server_shutting_down",
    "unknown_client",
]
Key: TypeAlias = Sentence | ReasonCode

_ENGLISH: dict[Key, str] = {
    "heartbeat_received": "heartbeat received",
    "heartbeat_failed": "the heartbeat could not be processed",
    "server_shutdown": "The server is shutting down. Please reconnect in a moment.",
    "server_running": "The server is running normally.",
    "server_shutting_down": "The server is shutting down.",
    "unknown_client": "unknown client: {client}",
    "reconnect_timeout": "reconnect timeout",
    "heartbeat_timeout": "heartbeat timeout",
    "missed_heartbeats": "missed heartbeats",
    "no_connection": "no connection",
    "terminated": "terminated",
    "taken_over": "taken over by a newer connection",
    "shutdown": "server shutdown",
    "ping_timeout": "ping timeout",
    "protocol_error": "protocol error",
    "slow_consumer": "slow consumer",
    "operator": "removed by an operator",
}
_KOREAN: dict[Key, str] = {
    "heartbeat_received": "하트비트 수신 완료",
    "heartbeat_failed": "하트비트 처리 중 오류 발생",
    "server_shutdown": "서버가 종료됩니다. 잠시 후 재연결을 시도해주세요.",
    "server_running": "서버가 정상 동작 중입니다.",
    "server_shutting_down": "서버가 종료 중입니다.",
    "unknown_client": "클라이언트를 찾을 수 없음: {client}",
    "reconnect_timeout": "재연결 타임아웃",
    "heartbeat_timeout": "하트비트 타임아웃",
    "missed_heartbeats": "하트비트 누락",
    "no_connection": "연결 없음",
    "terminated": "정상 종료됨",
    "taken_over": "새 연결로 대체됨",
    "shutdown": "서버 종료",
    "ping_timeout": "핑 타임아웃",
    "protocol_error": "프로토콜 오류",
    "slow_consumer": "수신 지연",
    "operator": "운영자가 제거함",
}

CATALOGUE = MappingProxyType({"en": _ENGLISH, "ko": _KOREAN})


def text(language: Language, key: Key, **fields: object) -> str:
    """The sentence, with its fields filled in."""
    sentence = CATALOGUE[language][key]
    return sentence.format_map(fields) if fields else sentence
