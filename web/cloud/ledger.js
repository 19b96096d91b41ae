// What the cloud server has noted for its administrator: refused logins, changes, and when tunnels came and went.
import { get, problemFrom } from "../common/api.js";
import { DASH, exactly } from "../common/format.js";
import { Button, ProblemBox, Table } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{at: string, door: string, cloud_id: string|null, source: string, cause: string}} FailedLogin */
/** @typedef {{at: string, who: string, source: string, action: string, subject: string}} Deed */
/** @typedef {{event: string, at: string, source: string, detail: string}} Passage */

/** @param {string} cause */
export const causeName = (cause) =>
  ({
    "unknown-id": t("unknown Cloud ID"),
    offline: t("installation offline"),
    refused: t("refused: wrong ID or password"),
    throttled: t("too many tries"),
    disabled: t("disabled"),
    waiting: t("waits for approval"),
  })[cause] ?? cause;

/** @param {string} action */
const actionName = (action) =>
  ({
    "installation-added": t("installation added"),
    "installation-deleted": t("installation deleted"),
    "certificate-changed": t("certificate changed"),
    "log-level": t("log level changed"),
    "installation-disabled": t("installation disabled"),
    "installation-enabled": t("installation enabled"),
    "installation-approved": t("installation approved"),
    "installation-sent-to-wait": t("installation waits for approval again"),
    "installation-changed": t("note or tags changed"),
    "installation-password": t("new installation password, the old one still counts"),
    "installation-password-at-once": t("new installation password, the old one ended"),
    "password-proven": t("new installation password used for the first time"),
    "installation-login": t("login at an installation"),
    "admin-login": t("login of the administrator"),
    "login-ended": t("login ended"),
    "logins-ended": t("logins ended"),
    "settings-changed": t("settings changed"),
    "key-made": t("API key made"),
    "key-revoked": t("API key revoked"),
    "second-factor-on": t("second factor switched on"),
    "second-factor-off": t("second factor switched off"),
    "recovery-codes-renewed": t("new recovery codes"),
    "chain-begun": t("the chain of the audit log begins"),
    "password-set": t("admin password set"),
    "password-changed": t("admin password changed"),
  })[action] ?? action;

/** @param {string} who */
const whoName = (who) =>
  ({
    "cloud-admin": t("administrator"),
    machine: t("a program of this machine"),
    browser: t("a browser"),
    installation: t("an installation"),
  })[who] ?? who;

/** @param {string} event */
export const eventName = (event) => ({ connected: t("connected"), lost: t("connection lost") })[event] ?? event;

/**
 * Rows that are fetched when somebody wants to see them.
 * @template Row @param {string} path @param {string} key @param {boolean} wanted
 * @returns {{rows: Row[]|null, problem: any, load: () => Promise<void>}}
 */
function useRows(path, key, wanted) {
  const [rows, setRows] = useState(/** @type {Row[]|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const load = async () => {
    try {
      setRows((await get(path))[key]);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => {
    if (wanted) void load();
  }, [wanted, path]);
  return { rows, problem, load };
}

/** @param {{id: string, title: string, path: string, list: string, head: string[], row: (row: any) => any, more?: any}} props */
function Ledger({ id, title, path, list, head, row, more }) {
  const [open, setOpen] = useState(false);
  const { rows, problem, load } = useRows(path, list, open);
  return html`<details class="ledger" id=${id} onToggle=${(/** @type {any} */ e) => setOpen(e.currentTarget.open)}>
    <summary>${title}</summary>
    <${ProblemBox} problem=${problem} />
    ${rows === null
      ? open && !problem
        ? html`<p class="loading">${t("Loading …")}</p>`
        : null
      : rows.length === 0
        ? html`<p>${t("None so far.")}</p>`
        : html`<${Table} caption=${title} class="stack" head=${head}>${rows.map(row)}<//>`}
    <div class="buttons"><${Button} onClick=${() => void load()}>${t("Load again")}<//></div>
    ${more ?? null}
  </details>`;
}

/** @param {string} label @param {any} content */
const cell = (label, content) => html`<td><span class="label">${label}: </span>${content}</td>`;

export function FailedLogins() {
  return html`<${Ledger} id="failed-logins" title=${t("Failed logins")} path="/cloud/admin/failed-logins" list="failed_logins"
    head=${[t("Time"), t("Cloud ID"), t("From address"), t("Cause")]}
    row=${(/** @type {FailedLogin} */ one, /** @type {number} */ at) => html`<tr key=${at}>
      <th scope="row">${exactly(one.at)}</th>
      ${cell(t("Cloud ID"), one.door === "cloud-admin" ? t("Cloud server admin functions") : (one.cloud_id ?? DASH))}
      ${cell(t("From address"), one.source)}${cell(t("Cause"), causeName(one.cause))}
    </tr>`} />`;
}

/** Is the chain of the audit log whole? */
function Chain() {
  const [found, setFound] = useState(/** @type {{whole: boolean, reason: string|null, entries: number|null, head: string|null}|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const look = () => get("/cloud/admin/audit/verify").then(setFound, (error) => setProblem(problemFrom(error)));
  return html`<${ProblemBox} problem=${problem} />
    ${found
      ? found.whole
        ? html`<p class="box good" role="status">${t("The log is as it was written: {n} entries. Newest: {head}", { n: found.entries ?? 0, head: found.head ?? "" })}</p>`
        : html`<p class="box bad" role="alert">${t("The log was tampered with: {reason}.", { reason: found.reason ?? "" })}</p>`
      : null}
    <div class="buttons"><${Button} onClick=${() => void look()}>${t("Check the log")}<//>
      <a class="button" href="/api/v1/cloud/admin/audit.csv" download>${t("Download as CSV")}</a>
      <a class="button" href="/api/v1/cloud/admin/audit.json" download>${t("Download as JSON")}</a></div>`;
}

export function Audit() {
  return html`<${Ledger} more=${html`<${Chain} />`} id="audit" title=${t("Audit log")} path="/cloud/admin/audit" list="audit"
    head=${[t("Time"), t("Who"), t("From address"), t("What")]}
    row=${(/** @type {Deed} */ one, /** @type {number} */ at) => html`<tr key=${at}>
      <th scope="row">${exactly(one.at)}</th>
      ${cell(t("Who"), whoName(one.who))}${cell(t("From address"), one.source)}
      ${cell(t("What"), `${actionName(one.action)}${one.subject ? ` (${one.subject})` : ""}`)}
    </tr>`} />`;
}
