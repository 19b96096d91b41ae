// End-to-end mode: whose key ends a browser's encryption, at which address, and how a person can tell.
import { post, put } from "../common/api.js";
import { moment } from "../common/format.js";
import { announce, Button, Copyable, ProblemBox, Question, useAsked, useTask } from "../common/parts.js";
import { QrCode } from "../common/qrcode.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";
import { Certificate } from "./certificate.js";
import { OwnDomain } from "./owndomain.js";

/** @typedef {{enabled: boolean, state: string, state_text: string, url: string|null, qr: string[]|null,
 *   code: string|null, fingerprint: string, key_fingerprint: string, own_certificate: boolean, subject: string, not_after: string,
 *   source: "own"|"brought"|"acme", promise: string, acme: import("./certificate.js").Acme, domain: import("./owndomain.js").Domain,
 *   check: {result: string, text: string, at: string|null, seen_key: string|null}}} EndToEnd */

const AT = "/config/cloud/end-to-end";
const ASK_MS = 3000;

/** As browsers show it: pairs of capitals. @param {string} hex */
function grouped(hex) {
  return hex.toUpperCase().match(/../g)?.join(":") ?? "";
}

/** @param {{shown: EndToEnd, onShown: (shown: EndToEnd) => void}} props */
function Address({ shown, onShown }) {
  const task = useTask();
  const [asking, setAsking] = useState(false);
  const check = shown.check;
  const kind = check.result === "ok" ? "good" : check.result === "other-key" ? "bad" : "warn";
  return html`<div class=${`box ${kind}`} role=${check.result === "other-key" ? "alert" : undefined}>
      <p data-check=${check.result}>${check.text}</p>
      ${check.result === "other-key" && check.seen_key ? html`<p class="code">${t("The key that answers: {key}", { key: grouped(check.seen_key) })}</p>` : null}
      ${check.at ? html`<p class="help">${t("Checked: {when}", { when: moment(check.at) })}</p>` : null}
      <div class="buttons"><${Button} busy=${task.busy} onClick=${() => void task.run(async () => onShown(await post(`${AT}/check`)))}>${t("Check now")}<//></div>
    </div>
    <div class="address">
      ${shown.qr ? html`<${QrCode} rows=${shown.qr} label=${t("QR code of the address")} />` : null}
      <div>
        <${Copyable} label=${t("Address of this installation")} text=${shown.url ?? ""}
          help=${shown.own_certificate ? t("Keep it to yourself: whoever knows it reaches the login page.") : undefined} />
        <p><strong>${t("Fingerprint of the certificate (SHA-256)")}</strong></p>
        <p class="fingerprint" id="fingerprint">${grouped(shown.fingerprint)}</p>
        ${shown.own_certificate ? html`<p class="help">${t("Your browser warns of an unknown certificate once. Let it show the certificate, and go on only if its SHA-256 fingerprint is this one.")}</p>` : null}
      </div>
    </div>
    <${Copyable} label=${t("Code for charging_manager open")} text=${shown.code ?? ""}
      help=${t("This command accepts the installation's key alone: charging_manager open CLOUD-URL CLOUD-ID --code CODE")} />
    <div class="buttons"><${Button} onClick=${() => setAsking(true)}>${t("New address")}<//></div>
    <${ProblemBox} problem=${task.problem} />
    ${asking
      ? html`<${Question} title=${t("Take a new address?")} yes=${t("New address")} danger busy=${task.busy} problem=${task.problem}
          onNo=${() => setAsking(false)} onYes=${() => void task.run(async () => {
            onShown(await post(`${AT}/new-address`));
            setAsking(false);
          })}><p>${t("The old one leads nowhere from then on; bookmarks and codes of it are of no use.")}</p><//>`
      : null}
    <${Certificate} shown=${shown} onShown=${onShown} />
    <${OwnDomain} shown=${shown} onShown=${onShown} />`;
}

/** @param {{onSwitch: (enabled: boolean) => void}} props */
export function EndToEndMode({ onSwitch }) {
  const task = useTask();
  const [shown, setShown] = useState(/** @type {EndToEnd|null} */ (null));
  const [problem, setProblem] = useState(/** @type {import("../common/api.js").Problem|null} */ (null));
  /** @param {EndToEnd} fresh */
  const take = (fresh) => {
    setShown(fresh);
    setProblem(null);
    onSwitch(fresh.enabled && fresh.check.result !== "other-key");
  };
  useAsked(AT, ASK_MS, take, setProblem);
  /** @param {boolean} enabled */
  const turn = (enabled) =>
    void task.run(async () => {
      const fresh = await put(AT, { enabled });
      take(fresh);
      announce(fresh.state_text);
    });
  return html`<section aria-labelledby="end-to-end"><h2 id="end-to-end">${t("End-to-end mode")}</h2>
    <p>${t("Your browser's encryption then ends at this installation, and the cloud server carries bytes that it cannot read. You use the installation's own address; the cloud server's login page lets nobody in here any more.")}</p>
    <p class="help">${t("What this promises: with the right fingerprint, or with charging_manager open, the operator cannot read along. With a certificate of an authority for a name of his, he could obtain another one and read along; then it is only noticeable. A domain of your own takes that from him.")}</p>
    <p class="help">${t("The check below finds an operator who reads everybody along, not one who spares this installation's own visits. That somebody connects, when, and how much passes, he sees in any case.")}</p>
    <${ProblemBox} problem=${problem ?? task.problem} />
    ${shown
      ? html`<p data-end-to-end=${shown.state}>${shown.state_text}</p>
        <div class="buttons">${shown.enabled
          ? html`<${Button} busy=${task.busy} onClick=${() => turn(false)}>${t("Switch end-to-end mode off")}<//>`
          : html`<${Button} class="main" busy=${task.busy} onClick=${() => turn(true)}>${t("Switch end-to-end mode on")}<//>`}</div>
        ${shown.enabled && shown.url ? html`<${Address} shown=${shown} onShown=${take} />` : null}`
      : html`<p class="loading">${t("Loading …")}</p>`}
  </section>`;
}
