// What the page says, in English and Korean. A name in braces is replaced by a value.

const EN = {
  fleet: "Fleet", up: "up {0}", connecting: "connecting…", ready: "live", waiting: "back in {0} s, attempt {1}", stoppedLink: "not wanted back",
  forbidden: "waiting for a token", retry: "Connect now", running: "running", starting: "starting", maintenance: "maintenance", draining: "draining",
  storeFailing: "store failing", toMaintenance: "Maintenance…", headMaintenance: "Maintenance", toDrain: "Drain…", keysHelp: "Keys", language: "한국어",
  connected: "Connected", late: "Late", reconnecting: "Reconnecting", offline: "Offline", stopped: "Stopped", all: "All agents",
  states: "States over time", flow: "Connects and disconnects a second", hour: "1 h", day: "24 h",
  days: "{0} d", hours: "{0} h", minutes: "{0} min", seconds: "{0} s",
  time: "Time", connects: "connects", disconnects: "disconnects", why: "Why they are offline", noReasons: "No agent is offline.", by: "By label", noLabels: "No agent has labels.",
  more: "and {0} more", search: "Part of an id or an address", agents: "Agents", shownOf: "{0} agents", oneAgent: "1 agent", noneFits: "No agent fits.",
  clear: "Clear all filters", waits: "{0} changes wait", waits1: "1 change waits", id: "Agent", state: "State", since: "Since", reason: "Reason",
  labels: "Labels", heartbeat: "Heartbeat", rtt: "Round trip", address: "Address", copy: "Copy", copied: "Copied", check: "Select {0}", checkAll: "Select all that fit",
  chosen: "{0} selected", chosenAll: "All {0} that fit", terminate: "Terminate…", message: "Message…", remove: "Remove…", unselect: "Clear selection",
  close: "Close", cancel: "Cancel", loading: "Loading…", unknownAgent: "There is no such agent.", untold: "The server does not tell.", facts: "Facts",
  timeline: "Timeline", sinceAt: "Since", dialect: "Dialect", connectedAt: "Connected at", undelivered: "Undelivered", dropped: "Dropped", config: "Config",
  drain: "Drain", left: "Who is left", noneLeft: "No agent is left.", deadline: "Deadline", stage: "Stage", leftMore: "and {0} more", copyReport: "Copy report",
  download: "Download", percentiles: "Acks: p50 {0}, p99 {1}, max {2} ms", drainOver: "The drain is over.",
  feed: "Changes", quiet: "None since this page was opened.", hold: "Hold", resume: "Go on", cameBack: "came back", wentOnline: "online", went: "offline: {0}",
  token: "Operator's token", tokenWhy: "This server shows its fleet to operators only.", tokenWrong: "That token is no operator's here: check it, or take another.",
  tokenAct: "This changes something, so it takes an operator's token.", tokenHelp: "One line of the server's auth.operator_token_file; where none is set, dscore page prints this page's address with it. Kept in this tab until it is closed.",
  goOn: "Go on", empty: "No agent has connected yet.", emptyHow: "Connect the first one from this machine:", emptyMore: "Agents in JavaScript, C and GStreamer programs take the same address: {0}",
  counting: "Counting…", count: "{0} agents are chosen, {1} of them connected.", wave: "Agents at a time", pause: "Seconds between waves", maxFailed: "Stop after more failures than", timeout: "Seconds for each agent",
  typeCount: "Type {0} to confirm", doTerminate: "Terminate", doMessage: "Send", doRemove: "Remove", messageText: "Message (JSON with a type)",
  opRunning: "Wave {0} of {1}: {2} of {3} asked, {4} failed.", opOver: "{0}: {1} of {2} asked, {3} failed.", opLeft: "{0} are left: they were not asked.",
  failures: "Failures", stopAsking: "Ask no more", confirmMaintenanceOn: "All agents are turned away until maintenance is switched off. Watchers stay.", confirmMaintenanceOff: "Agents are let in again.",
  switchOn: "Switch on", switchOff: "Switch off", intent: "Intent", intentTerminate: "terminate: agents stop their applications", intentRestart: "restart: agents go on, and come back", drainWarn: "The server ends with the drain.",
  doDrain: "Drain", maintenanceOn: "The server is in maintenance: all agents are turned away until it is switched off. {0} of {1} agents connected.", storeWarn: "The store fails: {0}",
  keys: "Keys", keySearch: "search", keyMove: "next, previous agent", keyOpen: "open the agent", keyCheck: "select the agent", keyClose: "close, or clear the search", keyHelp: "this help",
  unreachable: "The server does not answer.", utc: "All times are UTC.", said: "{0} went offline, {1} came back",
  noSecrets: "Secrets are shown as •••.", results: "Rows",
};

/** @type {typeof EN} */
const KO = {
  fleet: "플릿", up: "가동 {0}", connecting: "연결 중…", ready: "실시간", waiting: "{0}초 후 재시도 ({1}번째)", stoppedLink: "서버가 거부함",
  forbidden: "토큰 대기 중", retry: "지금 연결", running: "실행 중", starting: "시작 중", maintenance: "점검 중", draining: "종료 중",
  storeFailing: "저장소 오류", toMaintenance: "점검…", headMaintenance: "점검", toDrain: "드레인…", keysHelp: "단축키", language: "English",
  connected: "연결됨", late: "지연", reconnecting: "재연결 중", offline: "오프라인", stopped: "중지됨", all: "전체 에이전트",
  states: "시간별 상태", flow: "초당 연결과 끊김", hour: "1시간", day: "24시간",
  days: "{0}일", hours: "{0}시간", minutes: "{0}분", seconds: "{0}초",
  time: "시각", connects: "연결", disconnects: "끊김", why: "오프라인 이유", noReasons: "오프라인 에이전트가 없습니다.", by: "레이블별", noLabels: "레이블이 있는 에이전트가 없습니다.",
  more: "외 {0}개", search: "ID 또는 주소의 일부", agents: "에이전트", shownOf: "에이전트 {0}개", oneAgent: "에이전트 1개", noneFits: "맞는 에이전트가 없습니다.",
  clear: "필터 모두 지우기", waits: "변경 {0}건 대기 중", waits1: "변경 1건 대기 중", id: "에이전트", state: "상태", since: "경과", reason: "이유",
  labels: "레이블", heartbeat: "하트비트", rtt: "왕복 시간", address: "주소", copy: "복사", copied: "복사됨", check: "{0} 선택", checkAll: "맞는 것 모두 선택",
  chosen: "{0}개 선택됨", chosenAll: "맞는 {0}개 모두", terminate: "종료 요청…", message: "메시지…", remove: "제거…", unselect: "선택 해제",
  close: "닫기", cancel: "취소", loading: "불러오는 중…", unknownAgent: "그런 에이전트가 없습니다.", untold: "서버가 알려주지 않습니다.", facts: "정보",
  timeline: "타임라인", sinceAt: "상태 시작", dialect: "방식", connectedAt: "연결 시각", undelivered: "미전달", dropped: "버려짐", config: "설정",
  drain: "드레인", left: "남은 에이전트", noneLeft: "남은 에이전트가 없습니다.", deadline: "기한", stage: "단계", leftMore: "외 {0}개", copyReport: "보고서 복사",
  download: "내려받기", percentiles: "응답: p50 {0}, p99 {1}, 최대 {2} ms", drainOver: "드레인이 끝났습니다.",
  feed: "변경", quiet: "페이지를 연 뒤 변경이 없습니다.", hold: "멈춤", resume: "계속", cameBack: "복귀", wentOnline: "온라인", went: "오프라인: {0}",
  token: "운영자 토큰", tokenWhy: "이 서버는 운영자에게만 플릿을 보여줍니다.", tokenWrong: "이 서버의 운영자 토큰이 아닙니다. 확인하거나 다른 것을 입력하세요.",
  tokenAct: "변경 작업에는 운영자 토큰이 필요합니다.", tokenHelp: "서버의 auth.operator_token_file 한 줄입니다. 설정이 없으면 dscore page 명령이 토큰이 담긴 주소를 출력합니다. 탭을 닫을 때까지만 보관됩니다.",
  goOn: "계속", empty: "아직 연결된 에이전트가 없습니다.", emptyHow: "이 컴퓨터에서 첫 에이전트를 연결하세요:", emptyMore: "JavaScript, C, GStreamer 에이전트도 같은 주소를 씁니다: {0}",
  counting: "세는 중…", count: "에이전트 {0}개 선택, 그중 {1}개 연결됨.", wave: "한 번에 몇 개", pause: "웨이브 사이 초", maxFailed: "중단 전 허용할 실패 수", timeout: "에이전트당 초",
  typeCount: "확인하려면 {0} 입력", doTerminate: "종료 요청", doMessage: "보내기", doRemove: "제거", messageText: "메시지 (type이 있는 JSON)",
  opRunning: "웨이브 {0}/{1}: {3}개 중 {2}개 요청, {4}개 실패.", opOver: "{0}: {2}개 중 {1}개 요청, {3}개 실패.", opLeft: "{0}개는 요청하지 않고 남았습니다.",
  failures: "실패", stopAsking: "더 요청하지 않기", confirmMaintenanceOn: "점검을 끌 때까지 모든 에이전트를 돌려보냅니다. 감시 연결은 유지됩니다.", confirmMaintenanceOff: "에이전트를 다시 받습니다.",
  switchOn: "켜기", switchOff: "끄기", intent: "방식", intentTerminate: "terminate: 에이전트가 애플리케이션을 멈춤", intentRestart: "restart: 에이전트는 계속 실행되고 돌아옴", drainWarn: "드레인이 끝나면 서버도 끝납니다.",
  doDrain: "드레인", maintenanceOn: "서버 점검 중: 점검을 끌 때까지 모든 에이전트를 돌려보냅니다. 에이전트 {1}개 중 {0}개 연결됨.", storeWarn: "저장소 오류: {0}",
  keys: "단축키", keySearch: "검색", keyMove: "다음, 이전 에이전트", keyOpen: "에이전트 열기", keyCheck: "에이전트 선택", keyClose: "닫기 또는 검색 지우기", keyHelp: "이 도움말",
  unreachable: "서버가 응답하지 않습니다.", utc: "모든 시각은 UTC입니다.", said: "{0}개 오프라인, {1}개 복귀",
  noSecrets: "비밀 값은 •••로 표시됩니다.", results: "행",
};

/** What the server names by a code: reasons, what became of an agent that was asked for something, how an action ended. */
const CODES = new Map(Object.entries({
  reconnect_timeout: ["did not come back", "돌아오지 않음"], heartbeat_timeout: ["silent for too long", "오래 응답 없음"], missed_heartbeats: ["missed heartbeats", "하트비트 누락"],
  no_connection: ["not back after a start", "재시작 후 돌아오지 않음"], terminated: ["stopped as asked", "요청대로 중지"], operator: ["removed by an operator", "운영자가 제거"],
  taken_over: ["taken over", "다른 연결로 대체"], shutdown: ["server shut down", "서버 종료"], ping_timeout: ["no answer to pings", "핑 응답 없음"],
  protocol_error: ["protocol error", "프로토콜 오류"], slow_consumer: ["read too slowly", "읽기가 너무 느림"],
  acked: ["acked", "응답함"], incomplete: ["incomplete", "불완전"], notified: ["notified", "통지됨"], failed: ["failed", "실패"], timed_out: ["timed out", "시간 초과"],
  vanished: ["vanished", "사라짐"], pending: ["pending", "대기"], error: ["error", "오류"], gone: ["gone", "없어짐"], not_connected: ["not connected", "연결되지 않음"],
  delivered: ["delivered", "전달됨"], kept: ["kept for later", "나중에 전달"], removed: ["removed", "제거됨"],
  done: ["Done", "완료"], canceled: ["Canceled", "취소됨"], stopped: ["Stopped", "중단됨"],
}));

/** @typedef {keyof typeof EN} Word */

export const LANGUAGES = { en: EN, ko: KO };
/** @type {"en" | "ko"} */
let language = (localStorage.getItem("dscore-language") ?? navigator.language).startsWith("ko") ? "ko" : "en";

export const currentLanguage = () => language;

/** @param {"en" | "ko"} one */
export function speak(one) {
  language = one;
  localStorage.setItem("dscore-language", one);
  document.documentElement.lang = one;
}

/**
 * @param {Word} name
 * @param {...(string | number)} values
 */
export const say = (name, ...values) => LANGUAGES[language][name].replace(/\{(\d)\}/g, (_, at) => String(values[at] ?? ""));

/**
 * The words for a code of the server. A newer server has codes that are not known here: they are shown as they are.
 *
 * @param {string | null | undefined} code
 */
export const told = (code) => (code ? CODES.get(code)?.[language === "ko" ? 1 : 0] ?? String(code).replaceAll("_", " ") : "");
