// Users of this installation. An ID is shown once, when it is made.
import { get, post, problemFrom, put, remove } from "../common/api.js";
import { fieldNumber } from "../common/format.js";
import { start } from "../common/frame.js";
import { announce, Button, Copyable, ProblemBox, Question, SelectField, Table, TextField, TickField, useTask } from "../common/parts.js";
import { QrCode } from "../common/qrcode.js";
import { html, useEffect, useState } from "../common/ui.js";
import { language, t } from "../common/words.js";
import { priorityRule, typedOrNull } from "./typed.js";

/** @typedef {{id: string, name: string, remote: boolean, charge_points: string[], language: string, priority: number|null}} User */
/** @typedef {{id: string, name: string}} Point */

const LANGUAGES = [["de", "Deutsch"], ["en", "English"], ["fr", "Français"]];

/** @param {{user: User|null, points: Point[], onDone: (answer: any) => void, onNo: () => void}} props */
function Form({ user, points, onDone, onNo }) {
  const task = useTask();
  const [name, setName] = useState(user?.name ?? "");
  const [remote, setRemote] = useState(user?.remote ?? false);
  const [chosen, setChosen] = useState(user?.charge_points ?? []);
  const [priority, setPriority] = useState(fieldNumber(user?.priority));
  const [speech, setSpeech] = useState(user?.language ?? language);
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const wish = { name: name.trim(), remote, charge_points: chosen, language: speech, priority: typedOrNull(priority, "priority", priorityRule()) };
      onDone(user ? await put(`/users/${encodeURIComponent(user.id)}`, wish) : await post("/users", wish));
    });
  };
  return html`<form class="narrow box" onSubmit=${submit} aria-label=${user ? t("Change user") : t("Add user")}>
    <h2>${user ? t("Change user {name}", { name: user.name }) : t("Add user")}</h2>
    <${TextField} label=${t("Name")} name="name" required maxlength="80" value=${name} onValue=${setName} problem=${task.problem} />
    <fieldset><legend>${t("Charge points of this user")}</legend>
      ${points.length ? null : html`<p>${t("No charge points yet.")}</p>`}
      ${points.map(
        (point) => html`<${TickField} key=${point.id} label=${point.name} name=${`point-${point.id}`} checked=${chosen.includes(point.id)}
          onValue=${(/** @type {boolean} */ on) => setChosen(on ? [...chosen, point.id] : chosen.filter((id) => id !== point.id))} />`,
      )}
    </fieldset>
    <${TextField} label=${t("Priority")} name="priority" inputmode="numeric" value=${priority} onValue=${setPriority} problem=${task.problem}
      help=${t("Counts where this user charges, if it is higher than the charge point's; empty for none.")} />
    <${TickField} label=${t("May log in through the cloud server")} name="remote" checked=${remote} onValue=${setRemote} />
    <${SelectField} label=${t("Language")} name="language" value=${speech} options=${LANGUAGES} onValue=${setSpeech} problem=${task.problem} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} onClick=${onNo}>${t("Cancel")}<//>
      <${Button} type="submit" class="main" busy=${task.busy}>${user ? t("Save") : t("Add user")}<//></div>
  </form>`;
}

/** The one time that an ID is seen. @param {{name: string, id: string, qr: string[]|undefined, onClose: () => void}} props */
function ShownOnce({ name, id, qr, onClose }) {
  return html`<${Question} title=${t("ID of {name}", { name })} yes=${t("I have noted it")} onYes=${onClose} onNo=${onClose} no=${null}>
    <p>${t("With this ID the user logs in. It is shown only now; if it gets lost, make a new one.")}</p>
    <${Copyable} label=${t("User ID")} text=${id} />
    ${qr ? html`<${QrCode} rows=${qr} label=${t("QR code of the ID, for a card")} />` : null}
  <//>`;
}

function Users() {
  const task = useTask();
  const [users, setUsers] = useState(/** @type {User[]|null} */ (null));
  const [points, setPoints] = useState(/** @type {Point[]} */ ([]));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [editing, setEditing] = useState(/** @type {User|"new"|null} */ (null));
  const [shown, setShown] = useState(/** @type {{name: string, id: string, qr: string[]|undefined}|null} */ (null));
  const [asked, setAsked] = useState(/** @type {{what: "new-id"|"remove", user: User}|null} */ (null));
  const load = async () => {
    try {
      const [people, picture] = await Promise.all([get("/users"), get("/state")]);
      setUsers(people.users);
      setPoints(picture.charge_points);
      setProblem(null);
    } catch (error) {
      setProblem(problemFrom(error));
    }
  };
  useEffect(() => void load(), []);
  /** @param {string} name @param {any} answer */
  const shownOnce = (name, answer) => {
    if (answer?.user_id) setShown({ name, id: answer.user_id, qr: answer.qr });
  };
  const sure = () =>
    asked &&
    task.run(async () => {
      const path = `/users/${encodeURIComponent(asked.user.id)}`;
      if (asked.what === "remove") {
        await remove(path);
        announce(t("{name} is removed.", { name: asked.user.name }));
      } else {
        shownOnce(asked.user.name, await post(`${path}/new-id`));
      }
      setAsked(null);
      await load();
    });
  if (!users) return problem ? html`<${ProblemBox} problem=${problem} />` : html`<p class="loading">${t("Loading …")}</p>`;
  /** @param {string} id */
  const pointName = (id) => points.find((point) => point.id === id)?.name ?? id;
  return html`
    <p>${t("A user sees and controls only the charge points assigned here.")}</p>
    ${users.length === 0
      ? html`<p>${t("No users yet.")}</p>`
      : html`<${Table} caption=${t("Users")} class="stack" head=${[t("Name"), t("Charge points"), t("Cloud"), t("Language"), t("Actions")]}>
        ${users.map(
          (user) => html`<tr key=${user.id} data-user=${user.name}>
            <th scope="row">${user.name}</th>
            <td><span class="label">${t("Charge points")}: </span>${user.charge_points.map(pointName).join(", ") || t("none")}</td>
            <td><span class="label">${t("Cloud")}: </span>${user.remote ? t("yes") : t("no")}</td>
            <td><span class="label">${t("Language")}: </span>${LANGUAGES.find(([code]) => code === user.language)?.[1] ?? user.language}</td>
            <td><div class="buttons"><${Button} onClick=${() => setEditing(user)}>${t("Change")}<//>
              <${Button} onClick=${() => setAsked({ what: "new-id", user })}>${t("New ID")}<//>
              <${Button} class="danger" onClick=${() => setAsked({ what: "remove", user })}>${t("Remove")}<//></div></td>
          </tr>`,
        )}
      <//>`}
    <${ProblemBox} problem=${problem} />
    ${editing === null
      ? html`<div class="buttons"><${Button} class="main" onClick=${() => setEditing("new")}>${t("Add user")}<//></div>`
      : html`<${Form} key=${editing === "new" ? "new" : editing.id} user=${editing === "new" ? null : editing} points=${points}
          onNo=${() => setEditing(null)} onDone=${(/** @type {any} */ answer) => {
            setEditing(null);
            shownOnce(answer?.name ?? "", answer);
            void load();
          }} />`}
    ${shown ? html`<${ShownOnce} name=${shown.name} id=${shown.id} qr=${shown.qr} onClose=${() => setShown(null)} />` : null}
    ${asked
      ? html`<${Question} danger title=${asked.what === "remove"
          ? t("Remove {name}?", { name: asked.user.name })
          : t("Make a new ID for {name}?", { name: asked.user.name })}
        yes=${asked.what === "remove" ? t("Remove") : t("New ID")} busy=${task.busy} problem=${task.problem}
        onYes=${() => void sure()} onNo=${() => {
          task.forget();
          setAsked(null);
        }}>
        <p>${asked.what === "remove"
          ? t("The user cannot log in any more; the sessions stay in the records.")
          : t("The ID until now stops working at once.")}</p>
      <//>`
      : null}`;
}

await start({ title: () => t("Users"), view: Users });
