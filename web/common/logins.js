// Which logins last: device, address, since when and last used; each can be ended, or all but this one.
import { get, problemFrom, remove } from "./api.js";
import { DASH, moment } from "./format.js";
import { announce, Button, DoneBox, ProblemBox, Question, Table, useTask } from "./parts.js";
import { html, useEffect, useState } from "./ui.js";
import { t } from "./words.js";

/** @typedef {{id: string, role: string, user: string|null, remote: boolean, source: string, browser: string,
 *   created_at: string, seen_at: string, current: boolean}} Login */

/** @param {Login} login */
function whoOf(login) {
  if (login.role === "admin") return t("administrator");
  return login.user ?? t("a user");
}

/** @param {Login} login */
const fromOf = (login) => [login.source || DASH, login.remote ? t("through the cloud server") : ""].filter(Boolean).join(", ");

/**
 * @param {{path: string, query?: string, title: string, help?: string, level?: string}} props
 *   path: of the API; query: begins with a question mark
 */
export function Logins({ path, query = "", title, help }) {
  const task = useTask();
  const [logins, setLogins] = useState(/** @type {Login[]|null} */ (null));
  const [total, setTotal] = useState(0);
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [asked, setAsked] = useState(false);
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const load = async () => {
    try {
      const answer = await get(path + query);
      setLogins(answer.logins);
      setTotal(answer.total);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => void load(), [path, query]);
  /** @param {Login} login */
  const end = (login) =>
    task.run(async () => {
      await remove(`${path}/${encodeURIComponent(login.id)}`);
      announce(t("The login is ended."));
      setDone(t("The login is ended."));
      await load();
    });
  const endOthers = () =>
    task.run(async () => {
      await remove(path + query);
      setAsked(false);
      setDone(t("All other logins are ended."));
      await load();
    });
  const others = (logins ?? []).filter((login) => !login.current);
  return html`<section aria-label=${title} class="logins"><h2>${title}</h2>
    ${help ? html`<p>${help}</p>` : null}
    <${ProblemBox} problem=${problem ?? (asked ? null : task.problem)} />
    <${DoneBox} text=${done} />
    ${logins === null
      ? problem
        ? null
        : html`<p class="loading">${t("Loading …")}</p>`
      : logins.length === 0
        ? html`<p>${t("None so far.")}</p>`
        : html`<${Table} caption=${title} class="stack" head=${[t("Device"), t("Who"), t("From address"), t("Since"), t("Last used"), t("Actions")]}>
          ${logins.map(
            (login) => html`<tr key=${login.id} data-login=${login.id}>
              <th scope="row">${login.browser || t("unknown device")}${login.current ? html`${" "}<span class="tag good">${t("this one")}</span>` : null}</th>
              <td><span class="label">${t("Who")}: </span>${whoOf(login)}</td>
              <td><span class="label">${t("From address")}: </span>${fromOf(login)}</td>
              <td><span class="label">${t("Since")}: </span>${moment(login.created_at)}</td>
              <td><span class="label">${t("Last used")}: </span>${moment(login.seen_at)}</td>
              <td><div class="buttons">${login.current
                ? null
                : html`<${Button} class="danger" busy=${task.busy} aria-label=${t("End the login of {device}, {source}", {
                    device: login.browser || t("unknown device"), source: login.source || DASH,
                  })} onClick=${() => void end(login)}>${t("End login")}<//>`}</div></td>
            </tr>`,
          )}
        <//>
        ${total > logins.length ? html`<p>${t("Only the {n} that were used last are shown.", { n: logins.length })}</p>` : null}
        ${others.length > 0
          ? html`<div class="buttons"><${Button} class="danger" onClick=${() => setAsked(true)}>${t("End all others")}<//></div>`
          : null}`}
    ${asked
      ? html`<${Question} danger title=${t("End all other logins?")} yes=${t("End all others")} busy=${task.busy} problem=${task.problem}
          onYes=${() => void endOthers()} onNo=${() => {
            task.forget();
            setAsked(false);
          }}>
          <p>${t("Whoever is logged in elsewhere has to log in again.")}</p>
        <//>`
      : null}
  </section>`;
}
