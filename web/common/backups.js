// Backups: made now and by themselves, taken along, deleted, and brought back after a look at what would change.
import { get, post, problemOf, put, remove } from "./api.js";
import { DASH, dayName, moment, number, typedNumber } from "./format.js";
import { me } from "./frame.js";
import { announce, Button, Field, ProblemBox, Question, SelectField, Table, TextField, TickField, useAsked, useTask } from "./parts.js";
import { html, useState } from "./ui.js";
import { language, t } from "./words.js";

const PIECE = 1024 * 1024;

/**
 * @typedef {{enabled: boolean, weekday: number, at: string, keep: number, mib: number, folder: string, encrypt: boolean,
 *   passphrase_set: boolean}} Settings
 * @typedef {{name: string, at: string, bytes: number, weekly: boolean, encrypted: boolean}} Held
 * @typedef {{what: string, now: number|null, then: number|null}} Count
 * @typedef {{created_at: string, program: string, counts: Count[], settings: string[], files: string[],
 *   newest_now: string|null, newest_then: string|null, unreadable: boolean}} Summary
 * @typedef {{settings: Settings, folder: string, free_bytes: number|null, next_at: string|null, trouble: string|null,
 *   failed: string|null, job: {kind: string, done: number, total: number}|null,
 *   looked: {ticket: string, summary: Summary}|null, backups: Held[]}} Shown
 */

/** What is counted, and parts of the settings, as people call them. @param {string} code */
function named(code) {
  const names = new Map([
    ["circuits", t("Circuits")],
    ["charge-points", t("Charge points")],
    ["other-devices", t("Meters and other devices")],
    ["devices", t("Devices")],
    ["users", t("Users")],
    ["sessions", t("Charging sessions")],
    ["site", t("Site")],
    ["places", t("Where boxes hang")],
    ["cloud", t("Cloud service")],
    ["rules", t("Rules")],
    ["tariff", t("Tariff")],
    ["installations", t("Installations")],
    ["api-keys", t("API keys")],
    ["backups", t("Backups")],
    ["recording", t("Recording")],
    ["timezone", t("Time zone")],
    ["grid", t("Grid operator")],
    ["inputs", t("Inputs")],
    ["goals", t("Goals")],
    ["vehicles", t("Vehicles")],
    ["audit-entries", t("Entries of the audit log")],
  ]);
  return names.get(code) ?? code;
}

/** @param {number} bytes */
const size = (bytes) => (bytes < 1e5 ? t("{kb} kB", { kb: number(bytes / 1e3) }) : t("{mb} MB", { mb: number(bytes / 1e6, 1) }));

/** @param {{summary: Summary}} props */
function Changes({ summary }) {
  /** @param {number|null} count */
  const shown = (count) => (count === null ? DASH : number(count));
  return html`<p>${t("Made on {when} by {program}.", { when: moment(summary.created_at), program: summary.program })}</p>
    ${summary.unreadable ? html`<p class="box warn">${t("What is there now cannot be read in full.")}</p>` : null}
    <${Table} caption=${t("What would change")} head=${["", t("Now"), t("In the backup")]}>
      ${summary.counts.map((one) => html`<tr key=${one.what}><th scope="row">${named(one.what)}</th><td>${shown(one.now)}</td><td>${shown(one.then)}</td></tr>`)}
      <tr><th scope="row">${t("Last recorded")}</th><td>${summary.newest_now ? moment(summary.newest_now) : DASH}</td>
        <td>${summary.newest_then ? moment(summary.newest_then) : DASH}</td></tr>
    <//>
    <p>${summary.settings.length
      ? t("Settings that differ: {names}.", { names: summary.settings.map(named).join(", ") })
      : t("No settings differ.")}</p>
    ${summary.files.length ? html`<p>${t("Files that differ: {names}.", { names: summary.files.join(", ") })}</p>` : null}
    <p>${t("What is there now stays on the disk beside it. Charge points go to their fallback for some seconds while the program begins anew.")}</p>`;
}

/** @param {{path: string, shown: Shown, onShown: (shown: Shown) => void}} props */
function SettingsForm({ path, shown, onShown }) {
  const task = useTask();
  const { settings } = shown;
  const [wish, setWish] = useState({ ...settings, keep: String(settings.keep), mib: String(settings.mib) });
  const [passphrase, setPassphrase] = useState("");
  /** @param {Partial<typeof wish>} more */
  const change = (more) => setWish({ ...wish, ...more });
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const { enabled, weekday, at, folder, encrypt } = wish;
      const body = { enabled, weekday, at, encrypt, keep: typedNumber(wish.keep), mib: typedNumber(wish.mib) };
      const here = me.value.remote ? {} : { folder: folder.trim(), ...(passphrase ? { passphrase } : {}) };
      onShown(await put(path, { ...body, ...here }));
      setPassphrase("");
      announce(t("Saved."));
    });
  };
  return html`<form class="narrow" onSubmit=${submit} autocomplete="off">
    <${TickField} label=${t("Make a backup every week")} name="enabled" checked=${wish.enabled} onValue=${(/** @type {boolean} */ enabled) => change({ enabled })} />
    <${SelectField} label=${t("Day")} name="weekday" value=${String(wish.weekday)} options=${[0, 1, 2, 3, 4, 5, 6].map((day) => [String(day), dayName(day)])}
      onValue=${(/** @type {string} */ day) => change({ weekday: Number(day) })} problem=${task.problem} />
    <${TextField} label=${t("Time")} name="at" type="time" required value=${wish.at} onValue=${(/** @type {string} */ at) => change({ at })} problem=${task.problem} />
    <${TextField} label=${t("How many are kept")} name="keep" inputmode="numeric" required value=${wish.keep} onValue=${(/** @type {string} */ keep) => change({ keep })}
      problem=${task.problem} help=${t("Older ones go. Those that you make yourself stay until you delete them.")} />
    <${TextField} label=${t("At most, all together (MiB)")} name="mib" inputmode="numeric" required value=${wish.mib} onValue=${(/** @type {string} */ mib) => change({ mib })}
      problem=${task.problem} />
    ${me.value.remote
      ? html`<p>${t("Folder and passphrase can be changed at the site only.")}</p>`
      : html`<${TextField} label=${t("Folder")} name="folder" maxlength="500" value=${wish.folder} onValue=${(/** @type {string} */ folder) => change({ folder })}
          problem=${task.problem} help=${t("Empty: beside the state itself. Another disk is safer.")} />
        <${TextField} label=${settings.passphrase_set ? t("New passphrase") : t("Passphrase")} name="passphrase" type="password" autocomplete="new-password"
          value=${passphrase} onValue=${setPassphrase} problem=${task.problem}
          help=${t("12 characters or more; note it elsewhere. Without it nobody can read the backups, and nobody can help.")} />`}
    <${TickField} label=${t("Encrypt backups under the passphrase")} name="encrypt" checked=${wish.encrypt}
      onValue=${(/** @type {boolean} */ encrypt) => change({ encrypt })} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" busy=${task.busy}>${t("Save")}<//></div>
  </form>`;
}

/** One piece after the other, so that a large file is never whole in memory. @param {string} path @param {File} file @param {(done: number) => void} tell */
async function bring(path, file, tell) {
  let at = 0;
  do {
    const answer = await fetch(`/api/v1${path}/brought?at=${at}`, {
      method: "PUT",
      credentials: "same-origin",
      headers: { "Content-Type": "application/octet-stream", "Accept-Language": language },
      body: file.slice(at, at + PIECE),
    });
    if (!answer.ok) throw await problemOf(answer);
    at = Math.min(at + PIECE, file.size);
    tell(at);
  } while (at < file.size);
}

/** Waits until the program answers again, and loads the page anew. */
async function again() {
  for (let tries = 0; tries < 300; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    try {
      if (tries > 1) await get("/me");
      if (tries > 1) break;
    } catch {
      // not yet
    }
  }
  location.reload();
}

/** @param {{path: string}} props */
export function Backups({ path }) {
  const task = useTask();
  const [shown, setShown] = useState(/** @type {Shown|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [going, setGoing] = useState(/** @type {Held|null} */ (null));
  const [asking, setAsking] = useState(/** @type {{name: string|null, encrypted: boolean, file?: File}|null} */ (null));
  const [passphrase, setPassphrase] = useState("");
  const [uploaded, setUploaded] = useState(/** @type {{done: number, total: number}|null} */ (null));
  const [begins, setBegins] = useState(false);
  useAsked(path, 2000, (/** @type {Shown} */ fresh) => {
    setShown(fresh);
    setProblem(null);
  }, (error) => {
    if (!begins) setProblem(error);
  });
  const make = () => task.run(async () => setShown(await post(path)));
  const drop = () =>
    going &&
    task.run(async () => {
      await remove(`${path}/${going.name}`);
      setGoing(null);
      setShown(await get(path));
    });
  const look = () =>
    asking &&
    task.run(async () => {
      const { file, name } = asking;
      if (file) {
        setUploaded({ done: 0, total: file.size });
        try {
          await bring(path, file, (done) => setUploaded({ done, total: file.size }));
        } finally {
          setUploaded(null);
        }
      }
      setShown(await post(`${path}/look`, { ...(name ? { name } : {}), ...(passphrase ? { passphrase } : {}) }));
      setAsking(null);
      setPassphrase("");
    });
  const restore = () =>
    shown?.looked &&
    task.run(async () => {
      await post(`${path}/restore`, { ticket: shown.looked?.ticket });
      setBegins(true);
      void again();
    });
  const forget = () =>
    task.run(async () => {
      await post(`${path}/forget`);
      setShown(await get(path));
    });
  /** @param {any} event */
  const chosen = async (event) => {
    const file = event.currentTarget.files[0];
    event.currentTarget.value = "";
    if (!file) return;
    const head = await file.slice(0, 21).text();
    setAsking({ name: null, encrypted: head === "age-encryption.org/v1", file });
  };
  const job = uploaded ? { kind: "bring", ...uploaded } : shown?.job;
  const busy = task.busy || Boolean(job);
  if (problem?.status === 404) return null; // the state is in a database that keeps itself
  return html`<section aria-labelledby="backups"><h2 id="backups">${t("Backups")}</h2>
    <p>${t("All of the state in one file: settings, users, sessions, keys. Readings of the last days are not in it.")}</p>
    <${ProblemBox} problem=${problem} />
    ${begins ? html`<p class="box good" role="status">${t("The program begins anew; this page loads again by itself.")}</p>` : null}
    ${shown?.trouble ? html`<p class="box bad" role="alert">${t("The weekly backup failed: {reason}.", { reason: shown.trouble })}</p>` : null}
    ${shown?.failed ? html`<p class="box bad" role="alert">${t("This did not work: {reason}.", { reason: shown.failed })}</p>` : null}
    ${job
      ? html`<div class="box" role="status"><label>${
          { make: t("A backup is being made."), weekly: t("The weekly backup is being made."), look: t("The backup is being unpacked and looked at."), bring: t("The file is on its way.") }[job.kind] ?? t("Something is at work.")
        } <progress max=${job.total || undefined} value=${job.total ? job.done : undefined}></progress></label></div>`
      : null}
    ${asking || going ? null : html`<${ProblemBox} problem=${task.problem} />`}
    ${shown === null
      ? problem
        ? null
        : html`<p class="loading">${t("Loading …")}</p>`
      : html`<p>${shown.next_at ? t("The next one is made on {when}.", { when: moment(shown.next_at) }) : t("None is made by itself.")}
        ${" "}${t("They lie in {folder}; {free} are free there.", { folder: shown.folder, free: shown.free_bytes === null ? DASH : size(shown.free_bytes) })}</p>
        ${shown.backups.length === 0
          ? html`<p>${t("None so far.")}</p>`
          : html`<${Table} caption=${t("Backups")} class="stack" head=${[t("When"), t("Size"), t("Kind"), t("Actions")]}>${shown.backups.map(
              (held) => html`<tr key=${held.name}><th scope="row">${moment(held.at)}</th>
                <td><span class="label">${t("Size")}: </span>${size(held.bytes)}</td>
                <td><span class="label">${t("Kind")}: </span>${held.weekly ? t("weekly") : t("made by hand")}${held.encrypted ? `, ${t("encrypted")}` : ""}</td>
                <td><div class="buttons">
                  ${me.value.remote
                    ? null
                    : html`<a class="button" href=${`/api/v1${path}/${held.name}`} download>${t("Download")}</a>
                      <${Button} disabled=${busy} onClick=${() => setAsking({ name: held.name, encrypted: held.encrypted })}>${t("Restore …")}<//>`}
                  <${Button} class="danger" disabled=${busy} onClick=${() => setGoing(held)}>${t("Delete")}<//>
                </div></td></tr>`,
            )}<//>`}
        <div class="buttons"><${Button} class="main" disabled=${busy} onClick=${() => void make()}>${t("Make a backup now")}<//></div>
        ${me.value.remote
          ? html`<p>${t("A backup can be downloaded and restored at the site only.")}</p>`
          : html`<${Field} label=${t("Restore from a file")} name="file" help=${t("Before anything changes you see what would change.")}>${(/** @type {any} */ a) => html`<input
              type="file" ...${a} disabled=${busy} onChange=${(/** @type {any} */ event) => void chosen(event)} />`}<//>`}
        <details class="further"><summary>${t("When, where and how many")}</summary><${SettingsForm} path=${path} shown=${shown} onShown=${setShown} /></details>`}
    ${asking
      ? html`<${Question} title=${t("Look at this backup?")} yes=${t("Look at it")} busy=${task.busy} problem=${task.problem} onYes=${() => void look()}
          onNo=${() => {
            task.forget();
            setAsking(null);
          }}>
          <p>${t("It is unpacked and checked. Nothing changes yet.")}</p>
          ${asking.encrypted
            ? html`<${TextField} label=${t("Passphrase")} name="passphrase" type="password" autocomplete="off" value=${passphrase} onValue=${setPassphrase} />`
            : null}
        <//>`
      : null}
    ${going
      ? html`<${Question} danger title=${t("Delete this backup?")} yes=${t("Delete")} busy=${task.busy} problem=${task.problem} onYes=${() => void drop()}
          onNo=${() => {
            task.forget();
            setGoing(null);
          }}><p>${moment(going.at)}, ${size(going.bytes)}</p><//>`
      : null}
    ${shown?.looked && !shown.job && !begins
      ? html`<${Question} danger title=${t("Restore this backup?")} yes=${t("Restore and begin anew")} busy=${task.busy} problem=${task.problem}
          onYes=${() => void restore()} onNo=${() => void forget()}><${Changes} summary=${shown.looked.summary} /><//>`
      : null}
  </section>`;
}
