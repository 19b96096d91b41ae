// Login to an installation through this cloud server. Exactly one secret: the admin password, or the ID of a user.
import { get, post } from "../common/api.js";
import { CodeField } from "../common/codefield.js";
import { Frame, go, me, show } from "../common/frame.js";
import { Button, ProblemBox, TextField, TickField, useTask } from "../common/parts.js";
import { html, useState } from "../common/ui.js";
import { loadWords, t } from "../common/words.js";

const REMEMBERED = "cloud-id";

function remembered() {
  try {
    return localStorage.getItem(REMEMBERED) ?? "";
  } catch {
    return ""; // storage can be forbidden; then the ID is typed again
  }
}

/** @param {string} cloudId */
function remember(cloudId) {
  try {
    localStorage.setItem(REMEMBERED, cloudId);
  } catch {
    // as above
  }
}

function CloudLogin() {
  const task = useTask();
  const [cloudId, setCloudId] = useState(remembered());
  const [secret, setSecret] = useState("");
  const [admin, setAdmin] = useState(false);
  const [code, setCode] = useState("");
  /** @param {Event} event */
  const submit = (event) => {
    event.preventDefault();
    void task.run(async () => {
      await post("/cloud/login", { cloud_id: cloudId.trim(), secret, admin, ...(admin && code.trim() ? { code } : {}) });
      remember(cloudId.trim());
      go("overview.htm");
    });
  };
  const asAdmin = t('Log in as "admin"');
  const [, before, quoted] = /^(.*?)(\S*[«„"].*)$/.exec(asAdmin) ?? ["", asAdmin, ""];
  const inside = me.value.remote && me.value.role !== "nobody";
  return html`${inside ? html`<p class="box good"><a href="overview.htm">${t("You are logged in: to the installation")}</a></p>` : null}
  <form class="narrow" onSubmit=${submit}>
    <${TextField} label=${t("Cloud ID")} name="cloud_id" autocomplete="username" required autofocus=${!cloudId} maxlength="64" spellcheck=${false}
      autocapitalize="off" value=${cloudId} onValue=${setCloudId}
      help=${t("The serial number of your installation, or the Cloud ID that the operator gave you.")} />
    <${TextField} label=${t("Cloud user ID")} name="secret" type="password" autocomplete="current-password" required value=${secret}
      onValue=${setSecret} help=${admin ? t("Here: the admin password of the installation.") : t("The ID of a user of the installation.")} />
    <${TickField} label=${html`${before}<span class="whole">${quoted}</span>`} name="admin" checked=${admin} onValue=${setAdmin} />
    ${admin
      ? html`<${CodeField} value=${code} onValue=${setCode}
          help=${t("Only if the installation asks for one: the six digits that your phone shows, or a recovery code.")} />`
      : null}
    <${ProblemBox} problem=${task.problem} />
    <div class="buttons"><${Button} type="submit" class="main" busy=${task.busy}>${task.busy ? t("Checking …") : t("Log in")}<//></div>
    <p class="box warn" id="operator">${t(
      "Please note: the operator of the cloud server can see all transmitted data and potentially has access to your installation and charge points.",
    )}</p>
    <p class="help">${t("An installation in end-to-end mode is not reached here, but at its own address, which is shown at the site.")}</p>
    <p class="help">${t("The admin password must not be empty at the installation; otherwise every login fails, for safety.")}</p>
  </form>
  <p class="help"><a href="cloud-admin.htm">${t("Cloud server admin functions")}</a></p>`;
}

await loadWords();
document.title = `${t("Log in")} · Charging Manager`;
try {
  me.value = await get("/me");
} catch {
  // The form works without: an ended login is no reason not to show it.
}
show(html`<${Frame} title=${t("Log in at the cloud server")} items=${[]} menu=${false} onLeave=${() => {}}><${CloudLogin} /><//>`);
