// The admin's second factor: a code that a phone shows, asked for beside the password.
import { get, post, problemFrom } from "./api.js";
import { CodeField } from "./codefield.js";
import { QrCode } from "./qrcode.js";
import { announce, Button, Copyable, DoneBox, ProblemBox, TextField, useTask } from "./parts.js";
import { html, useEffect, useState } from "./ui.js";
import { t, tn } from "./words.js";

/** @typedef {{secret: string, uri: string, qr: string[]}} Proposal */

/** @param {{codes: string[], onClose: () => void}} props */
function RecoveryCodes({ codes, onClose }) {
  return html`<div class="box good narrow" role="status" id="recovery"><p>${t(
    "Keep these recovery codes where the phone is not: each lets you in once when the phone is lost. They are shown only now.",
  )}</p>
    <ul class="codes">${codes.map((code) => html`<li key=${code}><code>${code}</code></li>`)}</ul>
    <${Copyable} label=${t("All of them, to copy")} text=${codes.join(" ")} />
    <div class="buttons"><${Button} class="main" onClick=${onClose}>${t("I have noted them")}<//></div></div>`;
}

/** @param {{path: string, onOn: (codes: string[]) => void}} props */
function SwitchOn({ path, onOn }) {
  const task = useTask();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [proposal, setProposal] = useState(/** @type {Proposal|null} */ (null));
  /** @param {Event} event */
  const begin = (event) => {
    event.preventDefault();
    void task.run(async () => {
      setProposal(await post(path, { password }));
      setPassword("");
    });
  };
  /** @param {Event} event */
  const confirm = (event) => {
    event.preventDefault();
    void task.run(async () => {
      const answer = await post(`${path}/confirm`, { code });
      onOn(answer.recovery_codes);
    });
  };
  if (!proposal) {
    return html`<form class="narrow" onSubmit=${begin}>
      <p>${t("The admin's login then needs a code from an authenticator app on your phone too: a password that got out opens nothing by itself.")}</p>
      <input class="unseen" type="text" name="username" autocomplete="username" value="admin" readonly tabindex="-1" aria-hidden="true" />
      <${TextField} label=${t("Admin password")} name="password" type="password" autocomplete="current-password" required value=${password}
        onValue=${setPassword} problem=${task.problem} />
      <${ProblemBox} problem=${task.problem} />
      <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${t("Set up a second factor")}<//></div>
    </form>`;
  }
  return html`<form class="narrow" onSubmit=${confirm} autocomplete="off">
    <p>${t("Scan this with the authenticator app, or type the secret there. Then enter the code that it shows.")}</p>
    <${QrCode} rows=${proposal.qr} label=${t("QR code of the secret")} />
    <${Copyable} label=${t("Secret")} text=${proposal.secret} />
    <${CodeField} required value=${code} onValue=${setCode} problem=${task.problem} help=${t("The six digits that the app shows.")} />
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} onClick=${() => {
      task.forget();
      setProposal(null);
    }}>${t("Cancel")}<//>
      <${Button} type="submit" class="main" busy=${task.busy}>${t("Switch it on")}<//></div>
  </form>`;
}

/** @param {{path: string, left: number, onDone: (codes: string[]|null) => void}} props */
function WhenOn({ path, left, onDone }) {
  const task = useTask();
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  /** @param {"off"|"recovery-codes"} what */
  const ask = (what) =>
    void task.run(async () => {
      const answer = await post(`${path}/${what}`, { password, code });
      onDone(answer?.recovery_codes ?? null);
    });
  return html`<p><span class="tag good">${t("on")}</span>${" "}${tn("{n} recovery code is left.", "{n} recovery codes are left.", left)}</p>
    <details class="further"><summary>${t("New recovery codes, or switch it off")}</summary>
      <form class="narrow" onSubmit=${(/** @type {Event} */ event) => {
        event.preventDefault();
        ask("recovery-codes");
      }}>
        <input class="unseen" type="text" name="username" autocomplete="username" value="admin" readonly tabindex="-1" aria-hidden="true" />
        <${TextField} label=${t("Admin password")} name="password" type="password" autocomplete="current-password" required value=${password}
          onValue=${setPassword} />
        <${CodeField} required value=${code} onValue=${setCode} problem=${task.problem} />
        <${ProblemBox} problem=${task.problem} />
        <div class="buttons"><${Button} type="submit" busy=${task.busy}>${t("New recovery codes")}<//>
          <${Button} class="danger" busy=${task.busy} onClick=${() => ask("off")}>${t("Switch it off")}<//></div>
      </form>
    </details>`;
}

/** @param {{path: string, here?: boolean}} props  here: it can be switched from here, not only seen */
export function SecondFactor({ path, here = true }) {
  const [state, setState] = useState(/** @type {{on: boolean, recovery_left: number}|null} */ (null));
  const [problem, setProblem] = useState(/** @type {any} */ (null));
  const [codes, setCodes] = useState(/** @type {string[]|null} */ (null));
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  const load = () => get(path).then(setState, (error) => setProblem(problemFrom(error)));
  useEffect(() => void load(), [path]);
  /** @param {string[]|null} made @param {string} said */
  const changed = (made, said) => {
    setCodes(made);
    setDone(said);
    announce(said);
    void load();
  };
  return html`<section aria-label=${t("Second factor")} id="second-factor"><h2>${t("Second factor")}</h2>
    <${ProblemBox} problem=${problem} />
    <${DoneBox} text=${done} />
    ${codes ? html`<${RecoveryCodes} codes=${codes} onClose=${() => setCodes(null)} />` : null}
    ${state === null
      ? problem
        ? null
        : html`<p class="loading">${t("Loading …")}</p>`
      : !here
        ? html`<p>${state.on ? t("It is on; it can be changed at the site only.") : t("It is off; it can be switched on at the site only.")}</p>`
        : state.on
          ? html`<${WhenOn} key="on" path=${path} left=${state.recovery_left} onDone=${(/** @type {string[]|null} */ made) =>
              changed(made, made ? t("There are new recovery codes; the old ones have ended.") : t("The second factor is off."))} />`
          : html`<${SwitchOn} key="off" path=${path} onOn=${(/** @type {string[]} */ made) => changed(made, t("The second factor is on."))} />`}
  </section>`;
}
