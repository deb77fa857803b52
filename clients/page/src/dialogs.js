// Dialogs: what is about to change something says first whom it is about, and takes a number typed to confirm.

import { Component } from "preact";
import { ask, Refused } from "./api.js";
import { number } from "./format.js";
import { html } from "./html.js";
import { useToken } from "./live.js";
import { refresh } from "./poll.js";
import { choice } from "./query.js";
import { set, state } from "./state.js";
import { say, told } from "./words.js";

const LOOK = 700;
/** Agents, up to which nothing need be typed. */
const FEW = 1;
const KEYS = [["/", "keySearch"], ["j  k", "keyMove"], ["Enter", "keyOpen"], ["x", "keyCheck"], ["Esc", "keyClose"], ["?", "keyHelp"]];

export function Dialogs() {
  const { dialog } = state;
  if (!dialog) return null;
  const kinds = { keys: Keys, maintenance: Maintenance, drain: StartDrain, bulk: Bulk };
  const Kind = kinds[/** @type {keyof typeof kinds} */ (dialog.kind)];
  return html`
    <dialog ref=${show} class="modal" aria-labelledby="dialog-heading" onClose=${close}>
      <${Kind} ...${dialog} />
    </dialog>`;
}

/** @param {HTMLDialogElement | null} element */
const show = (element) => element && !element.open && element.showModal();
const close = () => set({ dialog: null });

/** @param {{ title: string, children?: any }} props */
const Head = ({ title }) => html`
  <div class="head"><h2 id="dialog-heading">${title}</h2><span class="space"></span><button class="close" aria-label=${say("close")} onClick=${close}>✕</button></div>`;

const Keys = () => html`
  <${Head} title=${say("keys")} />
  <dl class="keys">${KEYS.map(([key, name]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${say(/** @type {any} */ (name))}</dd></div>`)}</dl>
  <p class="soft">${say("utc")}</p>`;

/** What all have that take power: a token, if there is none, and why it was refused. */
class Acting extends Component {
  state = { error: "", isTokenWanted: false, typed: "" };

  /**
   * @param {() => Promise<unknown>} work
   */
  async act(work) {
    this.setState({ error: "" });
    try {
      await work();
    } catch (error) {
      this.failed(error);
    }
  }

  /** @param {unknown} error */
  failed(error) {
    const isTokenWanted = error instanceof Refused && error.status === 401;
    this.setState({ isTokenWanted, error: isTokenWanted ? "" : error instanceof Refused ? error.message : say("unreachable") });
  }

  trouble() {
    const { error, isTokenWanted } = this.state;
    if (isTokenWanted) return html`<${TokenForm} why=${say("tokenAct")} then=${() => this.setState({ isTokenWanted: false }, () => this.again())} />`;
    return error && html`<p class="error" role="alert">${error}</p>`;
  }

  again() {}

  /** @param {string | number} expected */
  typed(expected) {
    return html`<label>${say("typeCount", expected)} <input class="confirm" autocomplete="off" value=${this.state.typed} onInput=${(/** @type {any} */ event) => this.setState({ typed: event.target.value })} /></label>`;
  }

  /** @param {string | number} expected */
  isTyped(expected) {
    return this.state.typed.replaceAll(/[^0-9]/g, "") === String(expected);
  }
}

class Maintenance extends Acting {
  again() {
    return this.act(async () => {
      await ask("maintenance", { method: "POST", body: { enabled: !state.isMaintenance } });
      close();
      refresh();
    });
  }

  render() {
    const isOn = state.isMaintenance;
    return html`
      <${Head} title=${say("headMaintenance")} />
      <p>${say(isOn ? "confirmMaintenanceOff" : "confirmMaintenanceOn")}</p>
      ${this.trouble()}
      <div class="doing"><button class="act" onClick=${() => this.again()}>${say(isOn ? "switchOff" : "switchOn")}</button><button onClick=${close}>${say("cancel")}</button></div>`;
  }
}

class StartDrain extends Acting {
  intent = "terminate";

  again() {
    return this.act(async () => {
      const begun = await ask("drain", { method: "POST", body: { intent: this.intent } });
      set({ drain: { ...begun, isRunning: true }, dialog: null });
      refresh();
    });
  }

  render() {
    const total = state.facets?.states.connected ?? 0;
    return html`
      <${Head} title=${say("drain")} />
      <p>${say("drainWarn")}</p>
      <fieldset><legend>${say("intent")}</legend>
        ${[["terminate", "intentTerminate"], ["restart", "intentRestart"]].map(([value, words]) => html`
          <label key=${value}><input type="radio" name="intent" value=${value} defaultChecked=${value === this.intent} onChange=${() => (this.intent = value)} /> ${say(/** @type {any} */ (words))}</label>`)}
      </fieldset>
      ${this.typed(total)}
      ${this.trouble()}
      <div class="doing"><button class="act danger" disabled=${!this.isTyped(total)} onClick=${() => this.again()}>${say("doDrain")}</button><button onClick=${close}>${say("cancel")}</button></div>`;
  }
}

class Bulk extends Acting {
  /** @type {any} */
  count = null;
  /** @type {any} */
  operation = null;
  pace = { wave: "", pause: "", max_failed: "", timeout: "" };
  message = '{"type": ""}';
  timer = 0;
  isClosed = false;

  componentDidMount() {
    this.again();
  }

  componentWillUnmount() {
    this.isClosed = true;
    clearTimeout(this.timer);
  }

  filter() {
    const { ids } = this.props;
    if (ids) return { ids };
    return state.isAllChecked ? choice(state.query) : { ids: [...state.checked] };
  }

  /** Counts first; what is counted is what is asked. */
  again() {
    return this.act(async () => {
      const { action } = this.props;
      const message = action === "message" && { message: { type: "-" } };
      this.count = await ask(action, { method: "POST", body: { filter: this.filter(), dry_run: true, ...message } });
      this.setState({});
    });
  }

  start() {
    return this.act(async () => {
      const { action } = this.props;
      const numbers = Object.entries(this.pace).filter(([name, text]) => text !== "" && (name !== "timeout" || action === "terminate"));
      const message = action === "message" && { message: JSON.parse(this.message) };
      this.operation = await ask(action, { method: "POST", body: { filter: this.filter(), ...Object.fromEntries(numbers.map(([name, text]) => [name, Number(text)])), ...message } });
      this.setState({});
      this.follow();
    });
  }

  follow() {
    const { operation } = this;
    if (operation.state !== "running" && operation.answered === operation.asked) {
      refresh();
      return;
    }
    this.timer = setTimeout(() => this.look(), LOOK);
  }

  /** The operation goes on where a look at it fails, unless the server knows of none. */
  async look() {
    try {
      this.operation = await ask(`operations/${this.operation.id}`);
      this.setState({ error: "" });
    } catch (error) {
      this.failed(error);
      if (error instanceof Refused && error.status === 404) return;
    }
    if (!this.isClosed) this.follow();
  }

  cancel() {
    return this.act(async () => {
      this.operation = await ask(`operations/${this.operation.id}`, { method: "DELETE" });
      this.setState({});
    });
  }

  isMessage() {
    try {
      const message = JSON.parse(this.message);
      return typeof message?.type === "string" && message.type !== "";
    } catch {
      return false;
    }
  }

  render() {
    const { action } = this.props;
    const { count, operation } = this;
    const verb = say(/** @type {any} */ ({ terminate: "doTerminate", message: "doMessage", remove: "doRemove" }[/** @type {string} */ (action)]));
    if (operation) return this.progress(verb);
    const total = count?.total ?? 0;
    const isReady = total > 0 && (total <= FEW || this.isTyped(total)) && (action !== "message" || this.isMessage());
    const field = (/** @type {keyof Bulk["pace"]} */ name, /** @type {any} */ words) => html`
      <label>${say(words)} <input type="number" min="0" inputmode="numeric" defaultValue=${this.pace[name]} onInput=${(/** @type {any} */ event) => (this.pace[name] = event.target.value)} /></label>`;
    return html`
      <${Head} title=${verb} />
      <p id="counted">${count ? say("count", number(total), number(count.connected)) : say("counting")}</p>
      ${action === "message" && html`<label>${say("messageText")} <textarea rows="3" spellcheck="false" defaultValue=${this.message} onInput=${(/** @type {any} */ event) => { this.message = event.target.value; this.setState({}); }}></textarea></label>`}
      ${total > FEW && html`<div class="pace">${field("wave", "wave")}${field("pause", "pause")}${field("max_failed", "maxFailed")}${action === "terminate" && field("timeout", "timeout")}</div>${this.typed(total)}`}
      ${this.trouble()}
      <div class="doing"><button class="act danger" disabled=${!isReady} onClick=${() => this.start()}>${verb}</button><button onClick=${close}>${say("cancel")}</button></div>`;
  }

  /** @param {string} verb */
  progress(verb) {
    const { operation } = this;
    const isRunning = operation.state === "running";
    const failed = number(operation.failed);
    return html`
      <${Head} title=${verb} />
      <progress max=${Math.max(1, operation.total)} value=${operation.answered} aria-label=${verb}></progress>
      <p id="operation">${isRunning ? say("opRunning", operation.wave, operation.waves, number(operation.asked), number(operation.total), failed)
        : say("opOver", told(operation.state), number(operation.asked), number(operation.total), failed)} ${operation.why}</p>
      ${operation.failures.length > 0 && html`<ul class="failures" tabindex="0" aria-label=${say("failures")}>${operation.failures.slice(0, 20).map((/** @type {any} */ each) => html`<li key=${each.id}><b>${each.id}</b> ${told(each.outcome)} ${each.message}</li>`)}</ul>`}
      ${!isRunning && operation.left_total > 0 && html`<p>${say("opLeft", number(operation.left_total))}</p><ul class="failures" tabindex="0" aria-label=${say("left")}>${operation.left.slice(0, 50).map((/** @type {string} */ id) => html`<li key=${id}>${id}</li>`)}</ul>`}
      ${this.trouble()}
      <div class="doing">${isRunning ? html`<button class="act" onClick=${() => this.cancel()}>${say("stopAsking")}</button>` : html`<button class="act" onClick=${close}>${say("close")}</button>`}</div>`;
  }
}

/** @param {{ why: string, then?: () => void }} props */
export function TokenForm({ why, then }) {
  const submit = (/** @type {any} */ event) => {
    event.preventDefault();
    useToken(event.target.elements.token.value.trim());
    then?.();
  };
  return html`
    <form class="login" id="login" onSubmit=${submit}>
      <h2>${say("token")}</h2>
      <p id="login-why">${why}</p>
      <div class="doing"><label>${say("token")} <input id="token" name="token" type="password" autocomplete="off" required /></label><button class="act">${say("goOn")}</button></div>
      <p class="soft">${say("tokenHelp")}</p>
    </form>`;
}
