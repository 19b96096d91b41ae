// What is set for the whole server: alarms, approval of newcomers, and the keys with which programs ask.
import { get, post, problemFrom, put, remove } from "../common/api.js";
import { DASH, moment, typedNumber } from "../common/format.js";
import { announce, Button, Copyable, DoneBox, ProblemBox, Question, Table, TextField, TickField, useTask } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t, tn } from "../common/words.js";

/**
 * @typedef {{enrolment_approval: boolean, alarm_after_s: number, webhook_url: string, webhook_signed: boolean,
 *   webhook_waiting: number, webhook_error: string|null, open_enrolment: boolean}} Settings
 * @typedef {{id: string, name: string, scopes: string[], created_at: string, expires_at: string|null,
 *   last_used_at: string|null, last_source: string|null}} Key
 */

/** @param {{settings: Settings, onSaved: (settings: Settings) => void}} props */
function SettingsForm({ settings, onSaved }) {
  const task = useTask();
  const [minutes, setMinutes] = useState(String(Math.round(settings.alarm_after_s / 60)));
  const [url, setUrl] = useState(settings.webhook_url);
  const [secret, setSecret] = useState("");
  const [approval, setApproval] = useState(settings.enrolment_approval);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const wish = { alarm_after_s: Math.round(typedNumber(minutes) * 60), webhook_url: url.trim(), enrolment_approval: approval };
      onSaved(await put("/cloud/admin/settings", secret ? { ...wish, webhook_secret: secret } : wish));
    });
  };
  return html`<form class="narrow" onSubmit=${submit} autocomplete="off">
    <${TextField} label=${t("Alarm when an installation is offline for longer than … minutes")} name="alarm_after_s" inputmode="numeric" required
      value=${minutes} onValue=${setMinutes} problem=${task.problem} help=${t("0: no alarms. They are shown above the list, in /metrics, and sent to the address below.")} />
    <${TextField} label=${t("Address that alarms are sent to (webhook)")} name="webhook_url" type="url" maxlength="500" spellcheck=${false} value=${url}
      onValue=${setUrl} problem=${task.problem} help=${t("Empty: nowhere. Each call is JSON; one that is not taken is tried again for about a day.")} />
    <${TextField} label=${t("Secret that signs the calls")} name="webhook_secret" type="password" maxlength="200" autocomplete="off" value=${secret}
      onValue=${setSecret} problem=${task.problem}
      help=${settings.webhook_signed ? t("One is set; leave this empty to keep it.") : t("None is set: calls are not signed.")} />
    ${settings.webhook_error
      ? html`<p class="box warn">${t("The last call was not taken ({error}).", { error: settings.webhook_error })}${" "}${tn(
          "{n} call waits.", "{n} calls wait.", settings.webhook_waiting)}</p>`
      : null}
    <${TickField} label=${t("Installations that come with their own key wait for approval")} name="enrolment_approval" checked=${approval} onValue=${setApproval}
      help=${settings.open_enrolment
        ? t("This server admits installations by serial number.")
        : t("This server was started without --open-enrolment: it admits none of them.")} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

/** @param {{onApproved: () => void}} props */
function ApproveSerial({ onApproved }) {
  const task = useTask();
  const [serial, setSerial] = useState("");
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const made = await post("/cloud/admin/approvals", { serial });
      setDone(t("{id} may come in.", { id: made.cloud_id }));
      setSerial("");
      onApproved();
    });
  };
  return html`<form class="narrow" onSubmit=${submit} autocomplete="off"><h3>${t("Approve a serial number ahead of time")}</h3>
    <${DoneBox} text=${done} />
    <${TextField} label=${t("Serial number")} name="serial" required maxlength="30" spellcheck=${false} autocapitalize="characters" value=${serial}
      onValue=${setSerial} problem=${task.problem} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" busy=${task.busy}>${t("Approve")}<//></div>
  </form>`;
}

/** @param {{onApproved: () => void}} props */
export function ServerSettings({ onApproved }) {
  const [settings, setSettings] = useState(/** @type {Settings|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  useEffect(() => {
    get("/cloud/admin/settings").then(setSettings, (error) => setProblem(problemFrom(error)));
  }, []);
  return html`<section aria-labelledby="server-settings"><h2 id="server-settings">${t("Alarms and newcomers")}</h2>
    <${ProblemBox} problem=${problem} />
    <${DoneBox} text=${done} />
    ${settings
      ? html`<${SettingsForm} settings=${settings} onSaved=${(/** @type {Settings} */ saved) => {
          setSettings(saved);
          setDone(t("The settings are saved."));
          announce(t("The settings are saved."));
        }} />
        ${settings.open_enrolment ? html`<${ApproveSerial} onApproved=${onApproved} />` : null}`
      : problem
        ? null
        : html`<p class="loading">${t("Loading …")}</p>`}
  </section>`;
}

/** @param {string} scope */
const scopeName = (scope) =>
  ({
    "installations-read": t("see and export installations"),
    "installations-write": t("add, change and delete installations"),
    "audit-read": t("read the audit log and failed logins"),
    "metrics-read": t("read /metrics"),
  })[scope] ?? scope;

/** @param {{scopes: string[], onMade: (key: any) => void}} props */
function NewKey({ scopes, onMade }) {
  const task = useTask();
  const [name, setName] = useState("");
  const [chosen, setChosen] = useState(/** @type {string[]} */ ([]));
  const [days, setDays] = useState("");
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const wish = { name: name.trim(), scopes: chosen, ...(days.trim() ? { days: typedNumber(days) } : {}) };
      onMade(await post("/cloud/admin/keys", wish));
      setName("");
      setChosen([]);
    });
  };
  return html`<form class="narrow" onSubmit=${submit} autocomplete="off"><h3>${t("New key")}</h3>
    <${TextField} label=${t("Name")} name="name" required maxlength="60" value=${name} onValue=${setName} problem=${task.problem}
      help=${t("Which program uses it; the audit log names it so.")} />
    <fieldset><legend>${t("What it may do")}</legend>${scopes.map(
      (scope) => html`<${TickField} key=${scope} label=${scopeName(scope)} name=${scope} checked=${chosen.includes(scope)}
        onValue=${(/** @type {boolean} */ on) => setChosen(on ? [...chosen, scope] : chosen.filter((one) => one !== scope))} />`,
    )}</fieldset>
    <${TextField} label=${t("Valid for … days")} name="days" inputmode="numeric" value=${days} onValue=${setDays} problem=${task.problem}
      help=${t("Empty: until it is revoked.")} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" busy=${task.busy}>${t("Make the key")}<//></div>
  </form>`;
}

export function ApiKeys() {
  const task = useTask();
  const [answer, setAnswer] = useState(/** @type {{keys: Key[], scopes: string[]}|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [made, setMade] = useState(/** @type {{key: string, name: string}|null} */ (null));
  const [going, setGoing] = useState(/** @type {Key|null} */ (null));
  const load = () => get("/cloud/admin/keys").then(setAnswer, (error) => setProblem(problemFrom(error)));
  useEffect(() => void load(), []);
  const revoke = () =>
    going &&
    task.run(async () => {
      await remove(`/cloud/admin/keys/${encodeURIComponent(going.id)}`);
      setGoing(null);
      await load();
    });
  /** @param {string} label @param {any} content */
  const cell = (label, content) => html`<td><span class="label">${label}: </span>${content}</td>`;
  return html`<section aria-labelledby="keys"><h2 id="keys">${t("API keys")}</h2>
    <p>${t("With a key a program asks this server's API without a login, in a header “Authorization: Bearer …”.")}</p>
    <${ProblemBox} problem=${problem} />
    ${made
      ? html`<div class="box good narrow" role="status"><p>${t("The key is shown only now.")}</p><${Copyable} label=${made.name} text=${made.key} />
        <div class="buttons"><${Button} onClick=${() => setMade(null)}>${t("I have noted it")}<//></div></div>`
      : null}
    ${answer === null
      ? problem
        ? null
        : html`<p class="loading">${t("Loading …")}</p>`
      : html`${answer.keys.length === 0
          ? html`<p>${t("None so far.")}</p>`
          : html`<${Table} caption=${t("API keys")} class="stack" head=${[t("Name"), t("What it may do"), t("Since"), t("Valid until"), t("Last used"), t("Actions")]}>
            ${answer.keys.map(
              (key) => html`<tr key=${key.id}><th scope="row">${key.name}</th>
                ${cell(t("What it may do"), key.scopes.map(scopeName).join("; "))}
                ${cell(t("Since"), moment(key.created_at))}
                ${cell(t("Valid until"), key.expires_at ? moment(key.expires_at) : t("until it is revoked"))}
                ${cell(t("Last used"), key.last_used_at ? `${moment(key.last_used_at)}, ${key.last_source ?? DASH}` : DASH)}
                <td><div class="buttons"><${Button} class="danger" onClick=${() => setGoing(key)}>${t("Revoke")}<//></div></td></tr>`,
            )}<//>`}
        <details class="further"><summary>${t("New key")}</summary><${NewKey} scopes=${answer.scopes} onMade=${(/** @type {any} */ key) => {
          setMade(key);
          void load();
        }} /></details>`}
    ${going
      ? html`<${Question} danger title=${t("Revoke the key {name}?", { name: going.name })} yes=${t("Revoke")} busy=${task.busy} problem=${task.problem}
          onYes=${() => void revoke()} onNo=${() => setGoing(null)}><p>${t("Whatever uses it is refused at once.")}</p><//>`
      : null}
  </section>`;
}
