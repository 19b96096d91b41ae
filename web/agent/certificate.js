// The certificate that browsers see in end-to-end mode: the installation's own, one that was brought, or by ACME.
import { post, put, remove } from "../common/api.js";
import { moment } from "../common/format.js";
import { Button, DoneBox, Field, ProblemBox, SelectField, TextField, TickField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {{enabled: boolean, state: string, state_text: string, problem: string|null, hint: string|null, names: string[],
 *   renew_at: string|null, next_try_at: string|null, directory: string, is_lets_encrypt: boolean, contact: string, terms: string,
 *   account: string|null, customer: string, customer_key_set: boolean, cloud_publishes: boolean, dns_server: string, dns_zone: string,
 *   key_name: string, key_secret_set: boolean, key_algorithm: string, settle_s: number}} Acme */
/** @typedef {import("./endtoend.js").EndToEnd} EndToEnd */

const AT = "/config/cloud/end-to-end";
const STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory";

/** How it stands with the authority. @param {{acme: Acme, onShown: (shown: EndToEnd) => void}} props */
function State({ acme, onShown }) {
  const task = useTask();
  const kind = acme.state === "valid" && !acme.problem ? "good" : acme.problem || acme.hint ? "warn" : "";
  return html`<div class=${`box ${kind}`} data-acme=${acme.state}>
    <p>${acme.state_text}</p>
    ${acme.problem ? html`<p role="alert">${acme.problem}</p>` : null}
    ${acme.hint && acme.hint !== acme.problem ? html`<p>${acme.hint}</p>` : null}
    ${acme.renew_at ? html`<p class="help">${t("It is renewed: {when}", { when: moment(acme.renew_at) })}</p>` : null}
    ${acme.account ? html`<p class="help">${t("Account there: {account}", { account: acme.account })}</p>` : null}
    ${acme.next_try_at ? html`<p class="help">${t("Next try: {when}", { when: moment(acme.next_try_at) })}</p>` : null}
    <${ProblemBox} problem=${task.problem} />
    ${acme.state === "working" || acme.state === "valid" ? null : html`<div class="buttons"><${Button} busy=${task.busy}
      onClick=${() => void task.run(async () => onShown(await post(`${AT}/acme/now`)))}>${t("Try now")}<//></div>`}
  </div>`;
}

/** @param {{shown: EndToEnd, onShown: (shown: EndToEnd) => void}} props */
function ByAcme({ shown, onShown }) {
  const acme = shown.acme;
  const task = useTask();
  const [form, setForm] = useState({
    place: acme.is_lets_encrypt ? "" : acme.directory === STAGING ? STAGING : "other",
    directory: acme.is_lets_encrypt || acme.directory === STAGING ? "" : acme.directory,
    contact: acme.contact, customer: acme.customer, customer_key: "",
    by: acme.dns_server ? "own" : "cloud", dns_server: acme.dns_server, dns_zone: acme.dns_zone,
    key_name: acme.key_name, key_secret: "", key_algorithm: acme.key_algorithm, settle_s: String(acme.settle_s),
  });
  const [terms, setTerms] = useState(/** @type {{directory: string, terms: string, wants_binding: boolean}|null} */ (null));
  const [agreed, setAgreed] = useState(false);
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  /** @param {string} name */
  const set = (name) => (/** @type {string} */ value) => {
    setForm({ ...form, [name]: value });
    if (name === "place" || name === "directory") {
      setTerms(null);
      setAgreed(false);
    }
  };
  const directory = form.place === "other" ? form.directory : form.place;
  const own = shown.domain.name && form.by === "own";
  const ask = () => void task.run(async () => {
    setDone(null);
    setAgreed(false);
    setTerms(await post(`${AT}/terms`, { directory }));
  });
  const start = () => void task.run(async () => {
    onShown(await put(`${AT}/acme`, {
      directory, terms: terms?.terms ?? "", contact: form.contact, customer: form.customer,
      ...(form.customer_key ? { customer_key: form.customer_key } : {}),
      ...(own ? {
        dns_server: form.dns_server, dns_zone: form.dns_zone, key_name: form.key_name, key_algorithm: form.key_algorithm,
        settle_s: Number(form.settle_s.replace(",", ".")) || 0, ...(form.key_secret ? { key_secret: form.key_secret } : {}),
      } : {}),
    }));
    setDone(t("Saved. The authority is asked now."));
  });
  /** @param {"contact"|"customer"|"customer_key"|"dns_server"|"dns_zone"|"key_name"|"key_secret"|"settle_s"|"directory"} name
   *  @param {string} label @param {string} [help] @param {any} [more] */
  const field = (name, label, help, more) => html`<${TextField} label=${label} help=${help} name=${name} problem=${task.problem}
    value=${form[name]} onValue=${set(name)} ...${more} />`;
  return html`<p class="help">${shown.domain.name
      ? t("For {name}. The authority looks for the proof in the DNS of your domain.", { name: shown.domain.name })
      : t("For the address above. The cloud server's operator publishes the proof for this installation; the key stays here.")}</p>
    ${shown.domain.name ? null : html`<p class="help">${t("Authorities list every certificate in public: then the address is no secret any more, and strangers find the login page. Your password protects it.")}</p>`}
    <${SelectField} label=${t("Authority")} name="place" value=${form.place} onValue=${set("place")}
      options=${[["", "Let’s Encrypt"], [STAGING, t("Let’s Encrypt, for trying out (browsers do not trust it)")], ["other", t("Another one, by its address")]]} />
    ${form.place === "other" ? field("directory", t("Address of its ACME directory"), t("It begins with https://; an authority of your own has to be named in the settings file (acme_ca).")) : null}
    ${field("contact", t("E-mail address for the authority (optional)"), t("It may write to you when something is wrong with your certificates."), { autocomplete: "email" })}
    ${terms?.wants_binding || form.customer ? html`
      ${field("customer", t("ID of your account there"))}
      ${field("customer_key", t("Key of your account there"), acme.customer_key_set ? t("Empty: the one of before.") : undefined, { type: "password", autocomplete: "off" })}` : null}
    ${shown.domain.name ? html`<${SelectField} label=${t("Who publishes the proof")} name="by" value=${form.by} onValue=${set("by")}
      options=${[["cloud", t("The cloud server, where the CNAME below leads")], ["own", t("This installation, at the DNS server of your domain (RFC 2136)")]]} />` : null}
    ${own ? html`
      ${field("dns_server", t("DNS server that takes updates"), t("Name or address, with a port if it is not 53."))}
      ${field("dns_zone", t("Zone"), t("For example example.org."))}
      ${field("key_name", t("Name of the TSIG key"))}
      ${field("key_secret", t("Secret of the TSIG key (base64)"), acme.key_secret_set ? t("Empty: the one of before.") : undefined, { type: "password", autocomplete: "off" })}
      <${SelectField} label=${t("Algorithm")} name="key_algorithm" value=${form.key_algorithm} onValue=${set("key_algorithm")}
        options=${["hmac-sha256", "hmac-sha384", "hmac-sha512", "hmac-sha224"].map((one) => [one, one])} />
      ${field("settle_s", t("Seconds until all its servers know of a change"), undefined, { inputmode: "decimal" })}` : null}
    ${terms ? html`<p>${terms.terms
        ? terms.terms.startsWith("https://")
          ? html`<a href=${terms.terms} target="_blank" rel="noopener noreferrer">${t("Terms of service of the authority")}</a>`
          : html`${t("Terms of service of the authority")}: <code>${terms.terms}</code>`
        : t("This authority has no terms of service.")}</p>
      <${TickField} label=${t("I have read the authority's terms of service, and agree to them.")} name="agreed" checked=${agreed} onValue=${setAgreed} />` : null}
    <${ProblemBox} problem=${task.problem} />
    <${DoneBox} text=${done} />
    <div class="buttons">${terms
      ? html`<${Button} class="main" busy=${task.busy} disabled=${!agreed} onClick=${start}>${t("Get a certificate")}<//>`
      : html`<${Button} busy=${task.busy} disabled=${form.place === "other" && !form.directory} onClick=${ask}>${t("Read the terms of service")}<//>`}</div>`;
}

/** @param {{shown: EndToEnd, onShown: (shown: EndToEnd) => void}} props */
function Brought({ shown, onShown }) {
  const task = useTask();
  const [cert, setCert] = useState("");
  const [key, setKey] = useState("");
  const [done, setDone] = useState(/** @type {string|null} */ (null));
  /** @param {(text: string) => void} keep */
  const read = (keep) => async (/** @type {any} */ event) => {
    const file = event.currentTarget.files?.[0];
    keep(file ? await file.text() : "");
  };
  return html`<p class="help">${shown.domain.name
      ? t("It has to be for {name}. You renew it yourself, and bring it again.", { name: shown.domain.name })
      : t("A certificate of an authority spares the browser's warning. It has to be for the address above, and its key stays on this machine.")}</p>
    <${Field} label=${t("Certificate with its chain (PEM)")} name="cert" problem=${task.problem}>${(/** @type {any} */ a) => html`<input
      type="file" accept=".pem,.crt,.cer" ...${a} onChange=${read(setCert)} />`}<//>
    <${Field} label=${t("Private key (PEM)")} name="key" problem=${task.problem}>${(/** @type {any} */ a) => html`<input
      type="file" accept=".pem,.key" ...${a} onChange=${read(setKey)} />`}<//>
    <${ProblemBox} problem=${task.problem} />
    <${DoneBox} text=${done} />
    <div class="buttons"><${Button} busy=${task.busy} disabled=${!cert || !key} onClick=${() => void task.run(async () => {
      setDone(null);
      onShown(await put(`${AT}/certificate`, { cert, key }));
      setDone(t("Saved."));
    })}>${t("Use this certificate")}<//></div>`;
}

/** @param {{shown: EndToEnd, onShown: (shown: EndToEnd) => void}} props */
function Own({ shown, onShown }) {
  const task = useTask();
  return html`<p class="help">${t("Made on this machine, vouched for by nobody: browsers warn once, and the fingerprint says whether it is the right one.")}</p>
    <${ProblemBox} problem=${task.problem} />
    ${shown.source === "own" ? null : html`<div class="buttons"><${Button} busy=${task.busy}
      onClick=${() => void task.run(async () => onShown(await remove(`${AT}/certificate`)))}>${t("Make an own certificate again")}<//></div>`}`;
}

/** @param {{shown: EndToEnd, onShown: (shown: EndToEnd) => void}} props */
export function Certificate({ shown, onShown }) {
  const [kind, setKind] = useState(shown.source);
  /** @type {["own"|"brought"|"acme", string, any][]} */
  const kinds = [
    ["own", t("The installation's own"), Own],
    ["brought", t("One that you bring"), Brought],
    ["acme", t("Of an authority, by itself (ACME)"), ByAcme],
  ];
  const Form = kinds.find(([one]) => one === kind)?.[2];
  return html`<h3>${t("Certificate")}</h3>
    <p data-promise=${shown.source}>${shown.promise}</p>
    <p class="help">${shown.own_certificate ? t("The installation shows a certificate that it made itself.")
      : shown.source === "acme" ? t("The installation shows a certificate of an authority: {subject}.", { subject: shown.subject || shown.acme.names.join(", ") })
      : t("The installation shows the certificate that was brought: {subject}.", { subject: shown.subject })}
      ${" "}${t("Valid until {when}.", { when: moment(shown.not_after) })}</p>
    ${shown.acme.enabled ? html`<${State} acme=${shown.acme} onShown=${onShown} />` : null}
    <details class="certificate"><summary>${t("Another certificate")}</summary>
      <fieldset class="choice"><legend>${t("Which certificate")}</legend>
        ${kinds.map(([one, text]) => html`<label key=${one} class=${kind === one ? "chosen" : undefined}><input type="radio" name="certificate" value=${one} checked=${kind === one}
          onChange=${() => setKind(one)} /><span>${text}</span></label>`)}
      </fieldset>
      <${Form} shown=${shown} onShown=${onShown} />
    </details>`;
}
