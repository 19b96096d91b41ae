// Charging sessions: filtered, in words of the reader's language, and as a CSV file.
import { get, problemFrom } from "../common/api.js";
import { duration, energy, moment } from "../common/format.js";
import { isAdmin, me, start } from "../common/frame.js";
import { Button, ProblemBox, SelectField, Table, TextField } from "../common/parts.js";
import { html, useEffect, useState } from "../common/ui.js";
import { t, tn } from "../common/words.js";

/** @typedef {{id: string, charge_point: string, user: string|null, started_at: string, ended_at: string|null,
 *   energy_wh: number, start_wh: number|null, end_wh: number|null}} Session */

/** @param {Record<string, string>} filter */
function query(filter) {
  const wanted = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    if (value) wanted.set(name, value); // days are those of the site
  }
  const text = wanted.toString();
  return text ? `?${text}` : "";
}

/** Whoever is not administrator knows one user. */
const oneself = () => (me.value.user ? [{ id: me.value.user, name: me.value.name || me.value.user }] : []);

function Sessions() {
  const [filter, setFilter] = useState({ from: "", to: "", charge_point: "", user: "" });
  const [sessions, setSessions] = useState(/** @type {Session[]|null} */ (null));
  const [names, setNames] = useState(/** @type {{points: any[], users: any[]}} */ ({ points: [], users: [] }));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const load = async () => {
    try {
      setSessions((await get(`/sessions${query(filter)}`)).sessions);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => void load(), [filter.from, filter.to, filter.charge_point, filter.user]);
  useEffect(() => {
    void (async () => {
      try {
        const [picture, people] = await Promise.all([get("/state"), isAdmin() ? get("/users") : { users: oneself() }]);
        setNames({ points: picture.charge_points, users: people.users });
      } catch (error) {
        setProblem(problemFrom(error));
      }
    })();
  }, []);
  /** @param {{id: string, name?: string}[]} things @param {string|null} id */
  const name = (things, id) => (id ? (things.find((thing) => thing.id === id)?.name ?? id) : t("unknown"));
  /** @param {keyof typeof filter} key */
  const set = (key) => (/** @type {string} */ value) => setFilter({ ...filter, [key]: value });
  const all = /** @type {[string, string][]} */ ([["", t("all")]]);
  const total = (sessions ?? []).reduce((sum, session) => sum + (session.energy_wh || 0), 0);
  return html`
    <form class="filter" onSubmit=${(/** @type {Event} */ e) => e.preventDefault()}>
      <${TextField} label=${t("From")} type="date" name="from" value=${filter.from} onValue=${set("from")} problem=${problem} />
      <${TextField} label=${t("Until")} type="date" name="to" value=${filter.to} onValue=${set("to")} problem=${problem} />
      <${SelectField} label=${t("Charge point")} name="charge_point" value=${filter.charge_point} onValue=${set("charge_point")}
        options=${[...all, ...names.points.map((point) => [point.id, point.name])]} />
      ${isAdmin()
        ? html`<${SelectField} label=${t("User")} name="user" value=${filter.user} onValue=${set("user")}
            options=${[...all, ...names.users.map((user) => [user.id, user.name])]} />`
        : null}
    </form>
    <${ProblemBox} problem=${problem} />
    ${sessions === null
      ? html`<p class="loading">${t("Loading …")}</p>`
      : html`<p>${tn("{n} session, {energy}", "{n} sessions, {energy}", sessions.length, { energy: energy(total) })}</p>
        <div class="buttons"><a class="button" id="csv" href=${`/api/v1/sessions.csv${query(filter)}`} download>${t("CSV file")}</a>
          <${Button} onClick=${() => void load()}>${t("Load again")}<//></div>
        ${sessions.length
          ? html`<${Table} caption=${t("Sessions")} class="stack" head=${[t("Start"), t("Duration"), t("Charge point"), t("User"), t("Energy")]}>
            ${sessions.map(
              (session) => html`<tr key=${session.id}>
                <th scope="row">${moment(session.started_at)}</th>
                <td><span class="label">${t("Duration")}: </span>${session.ended_at
                  ? duration((Date.parse(session.ended_at) - Date.parse(session.started_at)) / 1000)
                  : html`<span class="tag good">${t("running")}</span>`}</td>
                <td><span class="label">${t("Charge point")}: </span>${name(names.points, session.charge_point)}</td>
                <td><span class="label">${t("User")}: </span>${name(names.users, session.user)}</td>
                <td class="number"><span class="label">${t("Energy")}: </span>${energy(session.energy_wh)}</td>
              </tr>`,
            )}
          <//>`
          : null}`}`;
}

await start({ title: () => t("Sessions"), view: Sessions, needs: "user" });
