// A charge point: what it does, why, and what one can choose.
import { put } from "../common/api.js";
import { amps, energy, known, power } from "../common/format.js";
import { has } from "../common/frame.js";
import { modeName, MODES, said, statusName } from "../common/modes.js";
import { announce, Button, ProblemBox, useTask } from "../common/parts.js";
import { Component, html, useId, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { GoalPanel } from "./goal.js";

/** @typedef {import("../common/types.js").ChargePoint} ChargePoint */

/** Modes that this installation knows, and the one that is set. @param {ChargePoint} point */
function modesOf(point) {
  return MODES.filter((mode) => has(`mode:${mode}`) || mode === point.mode);
}

/** Choosing plan asks for its goal first. @param {{point: ChargePoint}} props */
function ModeChoice({ point }) {
  const task = useTask();
  const [asking, setAsking] = useState(false);
  const [wish, setWish] = useState(/** @type {string|null} */ (null));
  const name = useId();
  /** @param {string} mode */
  const choose = (mode) => {
    setAsking(mode === "plan");
    if (mode === "plan") return;
    void task.run(async () => {
      setWish(mode);
      try {
        await put(`/charge-points/${encodeURIComponent(point.id)}/mode`, { mode });
        announce(t("{name}: mode {mode}", { name: point.name, mode: modeName(mode) }));
      } catch (error) {
        setWish(null);
        throw error;
      }
    });
  };
  const shown = asking ? "plan" : task.busy && wish ? wish : point.mode;
  return html`<fieldset class="choice" disabled=${task.busy}>
      <legend class="unseen">${t("Mode")}</legend>
      ${modesOf(point).map(
        (mode) => html`<label key=${mode} class=${mode === shown ? "chosen" : ""}>
          <input type="radio" name=${name} value=${mode} checked=${mode === shown} onChange=${() => choose(mode)} />
          <span>${modeName(mode)}</span></label>`,
      )}
    </fieldset>
    <${ProblemBox} problem=${task.problem} />
    ${asking || point.mode === "plan"
      ? html`<${GoalPanel} point=${point} edit=${asking} onClose=${() => setAsking(false)} />`
      : null}`;
}

/** What somebody set by hand. @param {ChargePoint} point */
const heldText = (point) =>
  point.override_a === 0
    ? t("Paused by hand until the car is unplugged")
    : t("At most {amps} by hand until the car is unplugged", { amps: amps(point.override_a, 0) });

/** Why it is so; what was set by hand is said once. @param {ChargePoint} point */
const reason = (point) =>
  point.because?.code === "override" && known(point.override_a) && has("override") ? heldText(point) : said(point.because);

/** @param {{point: ChargePoint}} props */
function Override({ point }) {
  const task = useTask();
  const [amount, setAmount] = useState("");
  const id = useId();
  /** @param {number|null} current_a */
  const set = (current_a) =>
    task.run(() => put(`/charge-points/${encodeURIComponent(point.id)}/override`, { current_a }));
  const held = known(point.override_a);
  const lowest = Math.ceil(point.min_a ?? 6);
  const highest = Math.floor(point.max_a ?? 32);
  const steps = [];
  for (let step = lowest; step <= highest; step += 1) steps.push(step);
  return html`<div class="override">
    ${held
      ? html`${point.because?.code === "override" ? null : html`<p class="tag">${heldText(point)}</p>`}
        <${Button} class="big" busy=${task.busy} onClick=${() => set(null)}>${t("Back to automatic")}<//>`
      : html`<${Button} class="big" busy=${task.busy} onClick=${() => set(0)}>${t("Pause")}<//>
        <label class="inline" for=${id}>${t("At most")}</label>
        <select id=${id} value=${amount} disabled=${task.busy} onChange=${(/** @type {any} */ e) => {
          const chosen = e.currentTarget.value;
          setAmount("");
          if (chosen) void set(Number(chosen));
        }}>
          <option value="">${t("automatic")}</option>
          ${steps.map((step) => html`<option key=${step} value=${String(step)}>${amps(step, 0)}</option>`)}
        </select>`}
    <${ProblemBox} problem=${task.problem} />
  </div>`;
}

/** Drawn again only when its charge point changed. */
export class Card extends Component {
  /** @param {{point: ChargePoint, old: boolean}} next */
  shouldComponentUpdate(next) {
    return next.point !== this.props.point || next.old !== this.props.old;
  }

  /** @param {{point: ChargePoint, old: boolean}} props */
  render({ point, old }) {
    const gone = point.status === "offline";
    const stale = gone || old;
    const phases = (point.phases ?? [1, 2, 3]).filter((phase) => phase >= 1 && phase <= 3).sort();
    return html`<article class=${`card status-${point.status}${stale ? " stale" : ""}`} aria-labelledby=${`point-${point.id}`}
      data-point=${point.id}>
      <h3 id=${`point-${point.id}`}>${point.name}</h3>
      <p class="status"><span class="dot" aria-hidden="true"></span>${statusName(point.status)}</p>
      <dl class="values">
        <div class="lead"><dt>${t("Power")}</dt><dd data-value="power">${power(gone ? null : point.power_w)}</dd></div>
        <div><dt>${t("Allowed")}</dt><dd data-value="setpoint">${point.setpoint_a === 0 ? t("paused") : amps(point.setpoint_a)}</dd></div>
        <div><dt>${t("This session")}</dt><dd data-value="session">${energy(point.session_wh)}</dd></div>
        <div class="wide"><dt class="unseen">${t("Current")}</dt><dd data-value="current">${phases.map(
          (phase) => html`<span key=${phase}><abbr>L${phase}</abbr>${" "}${amps(gone ? null : point.current_a?.[phase - 1])}</span>`,
        )}</dd></div>
      </dl>
      <p class="because" data-value="because">${reason(point)}</p>
      ${has("why") ? html`<p><a class="button" href=${`charger.htm?id=${encodeURIComponent(point.id)}`} aria-label=${t("Why? {name}", { name: point.name })}>${t("Why?")}</a></p>` : null}
      ${point.ruled_mode && point.because?.code !== "rule-off"
        ? html`<p class="tag" data-value="ruled">${t("By the rule {rule}: {mode}", { rule: point.ruled_by, mode: modeName(point.ruled_mode) })}</p>`
        : null}
      <${ModeChoice} point=${point} />
      ${has("override") ? html`<${Override} point=${point} />` : null}
    </article>`;
  }
}
