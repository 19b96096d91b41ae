// The cloud server's own administration: installations, and the log.
import { get, post, problemFrom, remove } from "../common/api.js";
import { CodeField } from "../common/codefield.js";
import { DASH, moment } from "../common/format.js";
import { Frame, me, show } from "../common/frame.js";
import { Logins } from "../common/logins.js";
import { LogPanel } from "../common/logpanel.js";
import { NewPassword } from "../common/newpassword.js";
import { announce, Button, Copyable, DoneBox, ProblemBox, Question, Table, TextField, useTask } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { SecondFactor } from "../common/secondfactor.js";
import { loadWords, t, tn } from "../common/words.js";
import { Audit, ConnectionsOf, FailedLogins } from "./ledger.js";
import { proposedPassword } from "./proposal.js";

/** @typedef {{cloud_id: string, state: string, last_seen_at: string|null, version: string|null, created_at: string,
 *   source?: string}} Installation */

const PAGE = 100;
const ASK_MS = 3000;

/** @param {{onIn: () => void}} props */
function AdminLogin({ onIn }) {
  const task = useTask();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const coded = me.value.second_factor === true;
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      await post("/cloud/admin/login", { password, ...(coded ? { code } : {}) });
      onIn();
    });
  };
  return html`<form class="narrow" onSubmit=${submit}>
    <p>${t("The admin password is that of the charging manager on this server.")}</p>
    <input class="unseen" type="text" name="username" autocomplete="username" value="cloud-admin" readonly tabindex="-1" aria-hidden="true" />
    <${TextField} label=${t("Admin password")} name="password" type="password" autocomplete="current-password" required autofocus value=${password}
      onValue=${setPassword} problem=${task.problem} />
    ${coded ? html`<${CodeField} required value=${code} onValue=${setCode} />` : null}
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${task.busy ? t("Checking …") : t("Log in")}<//></div>
  </form>
  <p class="help"><a href="login.htm">${t("Log in to an installation")}</a></p>`;
}

/** @param {{onAdded: () => void}} props */
function AddInstallation({ onAdded }) {
  const task = useTask();
  const [cloudId, setCloudId] = useState("");
  const [password, setPassword] = useState(proposedPassword());
  const [made, setMade] = useState(/** @type {{cloud_id: string, password: string}|null} */ (null));
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const wish = { cloud_id: cloudId.trim(), password };
      await post("/cloud/admin/installations", wish);
      setMade(wish);
      setCloudId("");
      setPassword(proposedPassword());
      announce(t("Installation {id} is added.", { id: wish.cloud_id }));
      onAdded();
    });
  };
  return html`<section aria-labelledby="add"><h2 id="add">${t("Add new installation")}</h2>
    <form class="narrow" onSubmit=${submit} autocomplete="off">
      <${TextField} label=${t("Cloud ID")} name="cloud_id" required minlength="3" maxlength="64" spellcheck=${false} autocapitalize="off" value=${cloudId}
        onValue=${setCloudId} help=${t("3 to 64 letters, digits, dots, underscores or hyphens.")} problem=${task.problem} />
      <${TextField} label=${t("Installation password (cloud password)")} name="password" required minlength="12" maxlength="128" spellcheck=${false} autocapitalize="off"
        value=${password} onValue=${setPassword} help=${t("12 to 128 characters; a random one is proposed.")} problem=${task.problem} />
      <${ProblemBox} problem=${task.problem} />
      <div class="buttons">
        <${Button} onClick=${() => setPassword(proposedPassword())}>${t("Propose another")}<//>
        <${Button} type="submit" class="main" busy=${task.busy}>${t("Add new installation")}<//>
      </div>
    </form>
    ${made
      ? html`<div class="box good narrow" role="status" id="made"><p>${t(
          "Enter these two and the address of this server at the installation, on the page “Cloud service”. The password is not shown again.",
        )}</p>
        <${Copyable} label=${t("Cloud ID")} text=${made.cloud_id} />
        <${Copyable} label=${t("Installation password")} text=${made.password} />
        <div class="buttons"><${Button} onClick=${() => setMade(null)}>${t("I have noted it")}<//></div></div>`
      : null}
  </section>`;
}

/** @param {string} state */
const stateName = (state) => ({ connected: t("connected"), offline: t("offline") })[state] ?? state;

/** @param {{round: number, onGone: () => void}} props */
function Installations({ round, onGone }) {
  const task = useTask();
  const [rows, setRows] = useState(/** @type {Installation[]|null} */ (null));
  const [total, setTotal] = useState(0);
  const [search, setSearch] = useState("");
  const [count, setCount] = useState(PAGE);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [going, setGoing] = useState(/** @type {Installation|null} */ (null));
  const [looking, setLooking] = useState(/** @type {string|null} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const load = async () => {
    try {
      const wanted = new URLSearchParams({ limit: String(count) });
      if (search.trim()) wanted.set("search", search.trim());
      const answer = await get(`/cloud/admin/installations?${wanted}`);
      setRows(answer.installations);
      setTotal(answer.total ?? answer.installations.length);
      setProblem(null);
    } catch (error) {
      const what = problemFrom(error);
      if (what.status === 401) onGone();
      else setProblem(what);
    }
  };
  useEffect(() => {
    void load();
    const timer = setInterval(() => {
      if (!document.hidden) void load();
    }, ASK_MS);
    return () => clearInterval(timer);
  }, [search, count, round]);
  const sure = () =>
    going &&
    task.run(async () => {
      await remove(`/cloud/admin/installations/${encodeURIComponent(going.cloud_id)}`);
      setDone(t("Installation {id} is deleted.", { id: going.cloud_id }));
      setGoing(null);
      await load();
    });
  return html`<section aria-labelledby="installations"><h2 id="installations">${t("Installations")}</h2>
    <div class="narrow field"><label for="search">${t("Search")}</label>
      <input id="search" type="search" value=${search} onInput=${(/** @type {any} */ e) => setSearch(e.currentTarget.value)} /></div>
    <${ProblemBox} problem=${problem} />
    <${DoneBox} text=${done} />
    ${rows === null
      ? html`<p class="loading">${t("Loading …")}</p>`
      : rows.length === 0
        ? html`<p>${search ? t("Nothing found.") : t("No installations yet.")}</p>`
        : html`<p>${tn("{n} installation", "{n} installations", total)}</p>
          <${Table} caption=${t("Installations")} class="stack" head=${[t("Cloud ID"), t("State"), t("Last seen"), t("Version"), t("Added"), t("Actions")]}>
            ${rows.map(
              (row) => html`<tr key=${row.cloud_id} data-installation=${row.cloud_id}>
                <th scope="row">${row.cloud_id}</th>
                <td><span class=${`tag ${row.state === "connected" ? "good" : ""}`} data-state=${row.state}>${stateName(row.state)}</span></td>
                <td><span class="label">${t("Last seen")}: </span>${moment(row.last_seen_at)}</td>
                <td><span class="label">${t("Version")}: </span>${row.version ?? DASH}</td>
                <td><span class="label">${t("Added")}: </span>${moment(row.created_at)}</td>
                <td><div class="buttons"><${Button} onClick=${() => setLooking(row.cloud_id)}>${t("History")}<//>
                  <${Button} class="danger" onClick=${() => setGoing(row)}>${t("Delete")}<//></div></td>
              </tr>`,
            )}
          <//>
          ${rows.length < total ? html`<div class="buttons"><${Button} onClick=${() => setCount(count + PAGE)}>${t("Show more")}<//></div>` : null}`}
    ${looking !== null ? html`<${ConnectionsOf} key=${looking} id=${looking} onClose=${() => setLooking(null)} />` : null}
    ${going
      ? html`<${Question} danger title=${t("Delete installation {id}?", { id: going.cloud_id })} yes=${t("Delete")} busy=${task.busy} problem=${task.problem}
          onYes=${() => void sure()} onNo=${() => {
            task.forget();
            setGoing(null);
          }}>
          <p>${t("Its connection and all logins to it end at once. Charging there goes on by itself.")}</p>
        <//>`
      : null}
  </section>`;
}

function Admin() {
  const [inside, setInside] = useState(me.value.cloud_admin === true || (me.value.setup === true && me.value.role === "admin"));
  const [setup, setSetup] = useState(me.value.setup === true);
  const [round, setRound] = useState(0);
  if (setup) {
    return html`<p>${t("No admin password is set yet: only this machine is served, and no installation can connect.")}</p>
      <${NewPassword} first=${true} path="/cloud/admin/password" onDone=${() => {
        setSetup(false);
        setInside(false);
      }} />`;
  }
  if (!inside) return html`<${AdminLogin} onIn=${() => setInside(true)} />`;
  return html`<${AddInstallation} onAdded=${() => setRound(round + 1)} />
    <${Installations} round=${round} onGone=${() => setInside(false)} />
    <${FailedLogins} />
    <${Audit} />
    <${LogPanel} levelPath="/cloud/admin/log/level" linesPath="/cloud/admin/log" />
    <${Logins} path="/cloud/admin/logins" title=${t("Administrators logged in now")} />
    <${SecondFactor} path="/cloud/admin/second-factor" />
    <section aria-labelledby="password"><h2 id="password">${t("Admin password")}</h2>
      <${NewPassword} first=${false} path="/cloud/admin/password" onDone=${() => setInside(false)} /></section>
    <div class="buttons"><${Button} id="log-out" onClick=${() => void post("/logout").catch(() => null).then(() => setInside(false))}>${t("Log out")}<//></div>`;
}

await loadWords();
const title = t("Cloud server admin functions");
document.title = `${title} · Charging Manager`;
/** @type {any} */
let content = html`<${Admin} />`;
try {
  me.value = await get("/me");
} catch (error) {
  const problem = problemFrom(error);
  if (problem.status !== 401) content = html`<${ProblemBox} problem=${problem} />`;
}
show(html`<${Frame} title=${title} items=${[]} menu=${false} onLeave=${() => {}}>${content}<//>`);
