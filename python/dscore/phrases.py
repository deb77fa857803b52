"""What an agent's timeline is told with (`dscore.explain`), in English and in Korean.

A phrase stands beside others, joined by commas and semicolons: in each language it has to be whole
by itself.
"""

from types import MappingProxyType
from typing import Final

from dscore.translations import Language

_ENGLISH: Final = {
    "is": "{id} is {said}{heard}",
    "heard": "; last heartbeat {at}",
    "never heard": "; it never sent a heartbeat",
    "reconnecting": "reconnecting since {at}: its connection{ip} {end}, and it still has time to "
    "come back",
    "unknown": "not back yet since the server started{at}, and still has time for that{lost}",
    "started at": " at {at}",
    "before": "; before, its connection{ip} {end}",
    "connected": "connected{ip} since {at}",
    "late": "late: {connected}, but {missed}",
    "terminating": "terminating: {connected}, and was asked to stop its application",
    "online": "online: {connected}{absence}",
    "absence": ", after it was offline for {span}",
    "untold": "offline ({reason}), and nothing tells since when",
    "never online": "never online",
    "offline": "offline since {at}: {why}{connection}",
    "gone": "; its connection{ip} {end} at {at}",
    "still open": "; its connection{ip} is still open",
    "from": " from {ip}",
    "stopped by drain": "the drain asked it to stop its application, and it did{lost}",
    "stopped by operator": "an operator asked it to stop its application, and it did{lost}",
    "lost": "its connection{ip} {end}, it did not come back within {span}",
    "not back": "it did not come back in time",
    "silent": "{missed}, and no sign of life came within the grace period",
    "its connection": "its connection{ip} {end}",
    "silent before": "it did not come back after the server's start, and was silent long before",
    "never sent": "it did not come back after the server's start, and never sent a heartbeat",
    "removed": "an operator removed it",
    "missed one": "it missed a heartbeat and was silent for {span}",
    "missed": "it missed {count} heartbeats in a row and was silent for {span}",
    "end network": "was lost without a close frame",
    "end without code": "was closed by the agent without a code",
    "end peer": "was closed by the agent with {words}",
    "end cut": "was cut by the server",
    "end server": "was closed by the server with {words}",
    "end slow_consumer": "was closed by the server with {words}: it did not read what it was sent",
    "end ping_timeout": "was closed by the server with {words}: nothing came from it any more",
    "end heartbeat_timeout": "was closed by the server with {words}: it sent no heartbeat any more",
    "end taken_over": "was closed by the server with {words}: another one took its place",
    "entry connected": "connected from {ip} ({dialect}, {introduced_by})",
    "took over": "took over from an earlier connection",
    "restored": "session restored",
    "earlier": "an earlier connection {end}",
    "entry disconnected": "its connection {end}",
    "no answer": "the agent did not answer that",
    "answer": "the agent answered {answer}",
    "lasted": "it lasted {span}",
    "round trip": "round trip {ms:.1f} ms",
    "entry missed one": "missed a heartbeat and was silent for {span}; was asked for a sign",
    "entry missed": "missed {count} heartbeats in a row and was silent for {span}; was asked for a "
    "sign",
    "entry recovered": "a {by} came",
    "entry online": "online",
    "entry offline": "offline: {reason_code}",
    "entry asked": "was asked to stop its application",
    "entry terminated": "stopped its application after {span}{lost}",
    "incomplete": ", but a stream did not reach its end{words}",
    "timed out": "did not answer terminate_app in time",
    "failed": "terminate_app failed{said}",
    "entry refused": "answered terminate_app with {status}: {message}",
    "entry progress": "still stopping: {stage} (+{seconds:g} s)",
    "entry started": "the server started (dscore {version})",
    "entry stopped": "the server stopped",
    "maintenance on": "maintenance on",
    "maintenance off": "maintenance off",
    "set forward": "the wall clock was set forward by {span}",
    "set back": "the wall clock was set back by {span}",
    "entry drain": "the server began to drain ({intent})",
    "ms": "{count} ms",
    "s": "{count} s",
    "min": "{count} min",
    "h": "{count} h",
    "d": "{count} d",
}

_KOREAN: Final = {
    "is": "{id}: {said}{heard}",
    "heard": "; 마지막 하트비트 {at}",
    "never heard": "; 하트비트를 보낸 적 없음",
    "reconnecting": "{at}부터 재연결 대기 중: 연결{ip}이 {end}, 아직 돌아올 시간이 남음",
    "unknown": "서버 시작{at} 이후 아직 돌아오지 않음, 시간이 남아 있음{lost}",
    "started at": "({at})",
    "before": "; 그 전 연결{ip}은 {end}",
    "connected": "{at}부터 연결됨{ip}",
    "late": "지연: {connected}, 그러나 {missed}",
    "terminating": "종료 중: {connected}, 애플리케이션 종료를 요청받음",
    "online": "온라인: {connected}{absence}",
    "absence": ", 그 전 {span} 동안 오프라인",
    "untold": "오프라인 ({reason}), 언제부터인지는 기록이 없음",
    "never online": "온라인이었던 적 없음",
    "offline": "{at}부터 오프라인: {why}{connection}",
    "gone": "; {at}에 연결{ip}이 {end}",
    "still open": "; 연결{ip}은 아직 열려 있음",
    "from": "({ip})",
    "stopped by drain": "드레인의 요청대로 애플리케이션을 종료함{lost}",
    "stopped by operator": "운영자의 요청대로 애플리케이션을 종료함{lost}",
    "lost": "연결{ip}이 {end}, {span} 안에 돌아오지 않음",
    "not back": "제때 돌아오지 않음",
    "silent": "{missed}, 유예 시간 안에 응답이 없었음",
    "its connection": "연결{ip}이 {end}",
    "silent before": "서버 시작 후 돌아오지 않음, 그 전부터 오래 응답이 없었음",
    "never sent": "서버 시작 후 돌아오지 않음, 하트비트를 보낸 적 없음",
    "removed": "운영자가 제거함",
    "missed one": "하트비트 1회 누락, {span} 동안 응답 없음",
    "missed": "하트비트 {count}회 연속 누락, {span} 동안 응답 없음",
    "end network": "종료 프레임 없이 끊김",
    "end without code": "에이전트에 의해 코드 없이 닫힘",
    "end peer": "에이전트에 의해 닫힘 ({words})",
    "end cut": "서버에 의해 끊김",
    "end server": "서버에 의해 닫힘 ({words})",
    "end slow_consumer": "서버에 의해 닫힘 ({words}): 보낸 것을 읽지 않음",
    "end ping_timeout": "서버에 의해 닫힘 ({words}): 더 이상 아무것도 오지 않음",
    "end heartbeat_timeout": "서버에 의해 닫힘 ({words}): 더 이상 하트비트가 오지 않음",
    "end taken_over": "서버에 의해 닫힘 ({words}): 다른 연결로 대체됨",
    "entry connected": "{ip}에서 연결됨 ({dialect}, {introduced_by})",
    "took over": "이전 연결을 대체함",
    "restored": "세션 복원됨",
    "earlier": "이전 연결이 {end}",
    "entry disconnected": "연결이 {end}",
    "no answer": "에이전트가 답하지 않음",
    "answer": "에이전트의 답: {answer}",
    "lasted": "{span} 동안 유지됨",
    "round trip": "왕복 {ms:.1f} ms",
    "entry missed one": "하트비트 1회 누락, {span} 동안 응답 없음; 확인을 요청함",
    "entry missed": "하트비트 {count}회 연속 누락, {span} 동안 응답 없음; 확인을 요청함",
    "entry recovered": "{by} 수신",
    "entry online": "온라인",
    "entry offline": "오프라인: {reason_code}",
    "entry asked": "애플리케이션 종료를 요청받음",
    "entry terminated": "{span} 만에 애플리케이션을 종료함{lost}",
    "incomplete": ", 끝까지 가지 못한 스트림이 있음{words}",
    "timed out": "terminate_app에 제때 답하지 않음",
    "failed": "terminate_app 실패{said}",
    "entry refused": "terminate_app에 {status}로 답함: {message}",
    "entry progress": "종료 진행 중: {stage} (+{seconds:g}초)",
    "entry started": "서버 시작 (dscore {version})",
    "entry stopped": "서버 중지",
    "maintenance on": "점검 켜짐",
    "maintenance off": "점검 꺼짐",
    "set forward": "시스템 시각이 {span} 앞으로 맞춰짐",
    "set back": "시스템 시각이 {span} 뒤로 맞춰짐",
    "entry drain": "서버 드레인 시작 ({intent})",
    "ms": "{count} ms",
    "s": "{count}초",
    "min": "{count}분",
    "h": "{count}시간",
    "d": "{count}일",
}

PHRASES: Final = MappingProxyType({"en": _ENGLISH, "ko": _KOREAN})


class Say:
    """Says phrases in one language."""

    def __init__(self, language: Language) -> None:
        self._phrases = PHRASES[language]

    def __call__(self, phrase: str, **fields: object) -> str:
        """The phrase with its fields filled in.

        Raises:
            KeyError: there is none of that name.
        """
        return self._phrases[phrase].format_map(fields)
