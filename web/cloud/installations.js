// The list of installations: searched, filtered, sorted and paged by the server, so that thousands are no more than a few.
import { get, problemFrom } from "../common/api.js";
import { DASH, moment, number } from "../common/format.js";
import { Button, DoneBox, ProblemBox } from "../common/parts.js";
import { html, useEffect, useRef, useState } from "../common/ui.js";
import { t, tn } from "../common/words.js";
import { DeleteInstallation, InstallationDetails } from "./installation.js";
import { amount, StateTag, stateName } from "./states.js";

/** @typedef {import("./states.js").Installation} Installation */

const PAGE = 50;
const ASK_MS = 3000;
const STATES = ["", "connected", "offline", "alarm", "waiting", "disabled"];

/** @returns {[string, string][]} */
const columns = () => [
  ["cloud_id", t("Cloud ID")],
  ["state", t("State")],
  ["last_seen_at", t("Last seen")],
  ["version", t("Version")],
  ["traffic", t("Traffic")],
  ["failed_logins", t("Failed logins")],
  ["created_at", t("Added")],
];

/** @param {{sort: string, onSort: (sort: string) => void}} props */
function Head({ sort, onSort }) {
  const name = sort.replace(/^-/, "");
  const down = sort.startsWith("-");
  return html`<thead><tr>${columns().map(
    ([key, text]) => html`<th scope="col" key=${key} aria-sort=${key === name ? (down ? "descending" : "ascending") : undefined}>
      <button type="button" class="link sort" onClick=${() => onSort(key === name && !down ? `-${key}` : key)}>${text}${
        key === name ? html`<span aria-hidden="true">${down ? " ▼" : " ▲"}</span>` : null}</button></th>`,
  )}<th scope="col">${t("Actions")}</th></tr></thead>`;
}

/** @param {{row: Installation, onLook: () => void, onGoing: () => void}} props */
function Row({ row, onLook, onGoing }) {
  /** @param {string} label @param {any} content */
  const cell = (label, content) => html`<td><span class="label">${label}: </span>${content}</td>`;
  return html`<tr data-installation=${row.cloud_id}>
    <th scope="row"><button type="button" class="link row" onClick=${onLook}>${row.cloud_id}</button>${" "}
      ${row.note ? html`<span class="help note">${row.note}</span>` : null}
      ${row.tags.map((tag) => html`<span class="tag" key=${tag}>${tag}</span>${" "}`)}</th>
    <td><${StateTag} row=${row} /></td>
    ${cell(t("Last seen"), moment(row.last_seen_at))}
    ${cell(t("Version"), row.version ?? DASH)}
    ${cell(t("Traffic"), amount(row.received_bytes + row.sent_bytes))}
    ${cell(t("Failed logins"), row.failed_logins ? number(row.failed_logins) : DASH)}
    ${cell(t("Added"), moment(row.created_at))}
    <td><div class="buttons"><${Button} aria-label=${t("Details of {id}", { id: row.cloud_id })} onClick=${onLook}>${t("Details")}<//>
      <${Button} class="danger" onClick=${onGoing}>${t("Delete")}<//></div></td>
  </tr>`;
}

/** @param {string} id @returns {HTMLElement|null} */
const rowOf = (id) => document.querySelector(`tr[data-installation="${CSS.escape(id)}"] button.row`);

/** Arrow keys walk from row to row. @param {any} event */
function walk(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[/** @type {string} */ (event.key)];
  if (!step || !event.target.matches("button.row")) return;
  const rows = [...event.currentTarget.querySelectorAll("button.row")];
  const next = rows[rows.indexOf(event.target) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
}

/** @param {{round: number, onGone: () => void}} props */
export function Installations({ round, onGone }) {
  const [answer, setAnswer] = useState(/** @type {{installations: Installation[], total: number, counts: Record<string, number>}|null} */ (null));
  const [wish, setWish] = useState({ search: "", state: "", sort: "cloud_id", offset: 0 });
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [going, setGoing] = useState(/** @type {Installation|null} */ (null));
  const [looking, setLooking] = useState(/** @type {string|null} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const searchField = useRef(/** @type {HTMLInputElement|null} */ (null));
  const newest = useRef(0);
  const query = new URLSearchParams(
    Object.entries({ search: wish.search.trim(), state: wish.state, sort: wish.sort, offset: String(wish.offset) }).filter(([, value]) => value),
  );
  const load = async () => {
    const asked = ++newest.current;
    try {
      const found = await get(`/cloud/admin/installations?${query}&limit=${PAGE}`);
      if (asked !== newest.current) return; // somebody typed on meanwhile
      if (found.installations.length === 0 && wish.offset > 0 && found.total > 0) setWish({ ...wish, offset: 0 });
      setAnswer(found);
      setProblem(null);
    } catch (error) {
      const what = problemFrom(error);
      if (what.status === 401) onGone();
      else if (asked === newest.current) setProblem(what);
    }
  };
  useEffect(() => {
    const soon = setTimeout(() => void load(), 150); // typing asks once
    const timer = setInterval(() => {
      if (!document.hidden) void load();
    }, ASK_MS);
    return () => {
      clearTimeout(soon);
      clearInterval(timer);
    };
  }, [wish, round]);
  useEffect(() => {
    /** @param {KeyboardEvent} event */
    const toSearch = (event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.key !== "/" || event.ctrlKey || event.metaKey || target.closest("input, textarea, select, dialog")) return;
      event.preventDefault();
      searchField.current?.focus();
    };
    document.addEventListener("keydown", toSearch);
    return () => document.removeEventListener("keydown", toSearch);
  }, []);
  const { counts = /** @type {Record<string, number>} */ ({}), total = 0, installations: rows = null } = answer ?? {};
  /** @param {string} state */
  const optionOf = (state) => (state ? `${stateName(state)} (${number(counts[state] ?? 0)})` : t("All"));
  const last = Math.min(wish.offset + PAGE, total);
  return html`<section aria-labelledby="installations"><h2 id="installations">${t("Installations")}</h2>
    ${counts.alarm
      ? html`<div class="box bad" role="status" id="alarms"><p>${tn(
          "{n} installation is offline for too long.", "{n} installations are offline for too long.", counts.alarm)}${" "}
        <button type="button" class="button" onClick=${() => setWish({ ...wish, search: "", state: "alarm", offset: 0 })}>${t("Show them")}</button></p></div>`
      : null}
    ${counts.waiting
      ? html`<div class="box warn" id="waiting"><p>${tn(
          "{n} installation waits for your approval.", "{n} installations wait for your approval.", counts.waiting)}${" "}
        <button type="button" class="button" onClick=${() => setWish({ ...wish, search: "", state: "waiting", offset: 0 })}>${t("Show them")}</button></p></div>`
      : null}
    <div class="filter">
      <div class="field"><label for="search">${t("Search")}</label>
        <input id="search" ref=${searchField} type="search" maxlength="100" value=${wish.search} aria-describedby="search-help"
          onInput=${(/** @type {any} */ e) => setWish({ ...wish, search: e.currentTarget.value, offset: 0 })} />
        <p class="help" id="search-help">${t("In Cloud ID, note and tags; the key / leads here, arrow keys from row to row.")}</p></div>
      <div class="field"><label for="state">${t("State")}</label>
        <select id="state" onChange=${(/** @type {any} */ e) => setWish({ ...wish, state: e.currentTarget.value, offset: 0 })}>
          ${STATES.map((state) => html`<option key=${state} value=${state} selected=${state === wish.state}>${optionOf(state)}</option>`)}
        </select></div>
    </div>
    <${ProblemBox} problem=${problem} />
    <${DoneBox} text=${done} />
    ${looking !== null
      ? html`<${InstallationDetails} key=${looking} id=${looking} onChanged=${() => void load()} onClose=${() => {
          setLooking(null);
          rowOf(looking)?.focus();
        }} />`
      : null}
    ${rows === null
      ? problem
        ? null
        : html`<p class="loading">${t("Loading …")}</p>`
      : rows.length === 0
        ? html`<p>${wish.search || wish.state ? t("Nothing found.") : t("No installations yet.")}</p>`
        : html`<div class="scroll" role="region" aria-label=${t("Installations")} tabindex="0"><table class="stack" onKeyDown=${walk}>
            <caption class="unseen">${t("Installations")}</caption>
            <${Head} sort=${wish.sort} onSort=${(/** @type {string} */ sort) => setWish({ ...wish, sort, offset: 0 })} />
            <tbody>${rows.map((row) => html`<${Row} key=${row.cloud_id} row=${row} onLook=${() => setLooking(row.cloud_id)} onGoing=${() => setGoing(row)} />`)}</tbody>
          </table></div>
          <div class="buttons pager">
            <${Button} disabled=${wish.offset === 0} onClick=${() => setWish({ ...wish, offset: Math.max(0, wish.offset - PAGE) })}>${t("Previous")}<//>
            <p aria-live="polite">${t("{from} to {to} of {n}", { from: number(wish.offset + 1), to: number(last), n: number(total) })}</p>
            <${Button} disabled=${last >= total} onClick=${() => setWish({ ...wish, offset: wish.offset + PAGE })}>${t("Next")}<//>
            <a class="button" href=${`/api/v1/cloud/admin/installations.csv?${query}`} download>${t("Download as CSV")}</a>
            <a class="button" href=${`/api/v1/cloud/admin/installations.json?${query}`} download>${t("Download as JSON")}</a>
          </div>`}
    ${going
      ? html`<${DeleteInstallation} id=${going.cloud_id} onNo=${() => setGoing(null)} onDone=${() => {
          setDone(t("Installation {id} is deleted.", { id: going.cloud_id }));
          if (looking === going.cloud_id) setLooking(null);
          setGoing(null);
          void load();
        }} />`
      : null}
  </section>`;
}
