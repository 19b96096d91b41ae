// One installation: what is known of it, and all that its operator can do with it.
import { get, post, problemFrom, put, remove } from "../common/api.js";
import { DASH, exactly, moment, number } from "../common/format.js";
import { Logins } from "../common/logins.js";
import { announce, Button, Copyable, DoneBox, ProblemBox, Question, Table, TextField, TickField, useTask } from "../common/parts.js";
import { html, useEffect, useRef, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { causeName, eventName } from "./ledger.js";
import { proposedPassword } from "./proposal.js";
import { amount, StateTag } from "./states.js";

/**
 * @typedef {import("./states.js").Installation & {logins: number, connections: {event: string, at: string, source: string, detail: string}[],
 *   refused_logins: {at: string, source: string, cause: string}[]}} Details
 */

/** @param {string} id */
const pathOf = (id) => `/cloud/admin/installations/${encodeURIComponent(id)}`;

/** @param {{id: string, onNo: () => void, onDone: () => void}} props */
export function DeleteInstallation({ id, onNo, onDone }) {
  const task = useTask();
  const sure = () =>
    task.run(async () => {
      await remove(pathOf(id));
      onDone();
    });
  return html`<${Question} danger title=${t("Delete installation {id}?", { id })} yes=${t("Delete")} busy=${task.busy} problem=${task.problem}
    onYes=${() => void sure()} onNo=${onNo}>
    <p>${t("Its connection and all logins to it end at once. Charging there goes on by itself.")}</p>
  <//>`;
}

/** @param {{id: string, onNo: () => void, onDone: () => void}} props */
function NewInstallationPassword({ id, onNo, onDone }) {
  const task = useTask();
  const [password, setPassword] = useState(proposedPassword());
  const [atOnce, setAtOnce] = useState(false);
  const [made, setMade] = useState(false);
  const set = () =>
    task.run(async () => {
      await post(`${pathOf(id)}/password`, { password, at_once: atOnce });
      setMade(true);
    });
  if (made) {
    return html`<${Question} title=${t("New password of {id}", { id })} yes=${t("I have noted it")} no=${null} onYes=${onDone} onNo=${onDone}>
      <p>${atOnce
        ? t("Enter it at the installation, on the page “Cloud service”. The old one has ended, and with it the connection.")
        : t("Enter it at the installation, on the page “Cloud service”. The old one ends when this one is used for the first time.")}</p>
      <${Copyable} label=${t("Installation password")} text=${password} />
    <//>`;
  }
  return html`<${Question} title=${t("New password of {id}", { id })} yes=${t("Set the new password")} busy=${task.busy} problem=${task.problem}
    onYes=${() => void set()} onNo=${onNo}>
    <${TextField} label=${t("Installation password (cloud password)")} name="password" required minlength="12" maxlength="128" spellcheck=${false}
      autocapitalize="off" value=${password} onValue=${setPassword} help=${t("12 to 128 characters; a random one is proposed.")} problem=${task.problem} />
    <${TickField} label=${t("The old one ends at once")} name="at_once" checked=${atOnce} onValue=${setAtOnce}
      help=${t("For a password that got out. Otherwise the old one counts until the new one was used.")} />
  <//>`;
}

/** @param {{details: Details, onDone: (said: string) => void}} props */
function Notes({ details, onDone }) {
  const task = useTask();
  const [note, setNote] = useState(details.note);
  const [tags, setTags] = useState(details.tags.join(" "));
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      await put(pathOf(details.cloud_id), { note: note.trim(), tags: tags.split(/[\s,]+/).filter(Boolean) });
      onDone(t("Note and tags are saved."));
    });
  };
  return html`<form class="narrow" onSubmit=${submit} autocomplete="off">
    <${TextField} label=${t("Note")} name="note" maxlength="500" value=${note} onValue=${setNote} problem=${task.problem} />
    <${TextField} label=${t("Tags")} name="tags" maxlength="400" value=${tags} onValue=${setTags} problem=${task.problem}
      help=${t("Words with blanks between them; ten at most.")} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

/** @param {string} label @param {any} value */
const fact = (label, value) => html`<div><dt>${label}</dt><dd>${value}</dd></div>`;

/** @param {{details: Details}} props */
function Facts({ details }) {
  return html`<dl class="facts">
    ${fact(t("State"), html`<${StateTag} row=${details} />`)}
    ${fact(t("Last seen"), moment(details.last_seen_at))}
    ${fact(t("Version"), details.version ?? DASH)}
    ${fact(t("Added"), `${moment(details.created_at)}, ${details.source === "enrolled" ? t("came with its own key") : t("by the administrator")}`)}
    ${fact(t("Traffic"), t("{in} received, {out} sent", { in: amount(details.received_bytes), out: amount(details.sent_bytes) }))}
    ${fact(t("Logged in now"), number(details.logins))}
    ${fact(t("Failed logins"), number(details.failed_logins))}
    ${details.new_password ? fact(t("Password"), t("A new one waits for its first use; the old one still counts.")) : null}
  </dl>`;
}

/** @param {{title: string, head: string[], rows: any[][]}} props */
function History({ title, head, rows }) {
  return html`<details class="ledger"><summary>${title}</summary>
    ${rows.length === 0
      ? html`<p>${t("None so far.")}</p>`
      : html`<${Table} caption=${title} class="stack" head=${head}>${rows.map(
          (row, at) => html`<tr key=${at}><th scope="row">${row[0]}</th>${row
            .slice(1)
            .map((value, column) => html`<td key=${column}><span class="label">${head[column + 1]}: </span>${value || DASH}</td>`)}</tr>`,
        )}<//>`}
  </details>`;
}

/** @param {{id: string, onClose: () => void, onChanged: () => void}} props */
export function InstallationDetails({ id, onClose, onChanged }) {
  const task = useTask();
  const [details, setDetails] = useState(/** @type {Details|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const [renewing, setRenewing] = useState(false);
  const heading = useRef(/** @type {HTMLElement|null} */ (null));
  const load = () =>
    get(pathOf(id)).then(setDetails, (error) => setProblem(problemFrom(error)));
  useEffect(() => {
    void load().then(() => heading.current?.focus());
  }, [id]);
  /** @param {string} said */
  const changed = async (said) => {
    setDone(said);
    announce(said);
    await load();
    onChanged();
  };
  /** @param {any} body @param {string} said */
  const change = (body, said) =>
    void task.run(async () => {
      await put(pathOf(id), body);
      await changed(said);
    });
  return html`<section class="box" id="installation" aria-labelledby="installation-name" onKeyDown=${(/** @type {any} */ e) => {
    if (e.key === "Escape" && !renewing) onClose();
  }}>
    <h3 id="installation-name" ref=${heading} tabindex="-1">${t("Installation {id}", { id })}</h3>
    <${ProblemBox} problem=${problem ?? task.problem} />
    <${DoneBox} text=${done} />
    ${details === null
      ? problem
        ? null
        : html`<p class="loading">${t("Loading …")}</p>`
      : html`<${Facts} details=${details} />
        <div class="buttons">
          ${details.state === "waiting"
            ? html`<${Button} class="main" busy=${task.busy} onClick=${() => change({ approved: true }, t("The installation is approved; it comes in when it asks the next time."))}>${t("Approve")}<//>`
            : null}
          ${details.state === "disabled"
            ? html`<${Button} busy=${task.busy} onClick=${() => change({ disabled: false }, t("The installation is enabled."))}>${t("Enable")}<//>`
            : html`<${Button} class="danger" busy=${task.busy} onClick=${() => change({ disabled: true }, t("The installation is disabled; its connection has ended."))}>${t("Disable")}<//>`}
          ${details.source === "enrolled" ? null : html`<${Button} onClick=${() => setRenewing(true)}>${t("New password")}<//>`}
          <${Button} onClick=${onClose}>${t("Close")}<//>
        </div>
        <${Notes} key=${`${details.note} ${details.tags.join(" ")}`} details=${details} onDone=${changed} />
        ${details.logins > 0
          ? html`<${Logins} path="/cloud/admin/logins" query=${`?installation=${encodeURIComponent(id)}`} title=${t("Logged in there now")} />`
          : null}
        <${History} title=${t("Connections of {id}", { id })} head=${[t("Time"), t("What"), t("From address"), t("Detail")]}
          rows=${details.connections.map((one) => [exactly(one.at), eventName(one.event), one.source, one.detail])} />
        <${History} title=${t("Failed logins")} head=${[t("Time"), t("From address"), t("Cause")]}
          rows=${details.refused_logins.map((one) => [exactly(one.at), one.source, causeName(one.cause)])} />`}
    ${renewing
      ? html`<${NewInstallationPassword} id=${id} onNo=${() => setRenewing(false)} onDone=${() => {
          setRenewing(false);
          void changed(t("The new password is set."));
        }} />`
      : null}
  </section>`;
}
