// The first password, from this very machine, while none was ever set.
import { go, me, start } from "../common/frame.js";
import { NewPassword } from "../common/newpassword.js";
import { html } from "../common/ui.js";
import { t } from "../common/words.js";

function Setup() {
  if (!me.value.setup) {
    return html`<p>${t("The admin password is set already.")}${" "}<a href="overview.htm">${t("Overview")}</a></p>`;
  }
  return html`<p>${t("Choose the admin password. Until then only this machine is served, and the cloud service does not let anybody in.")}</p>
    <${NewPassword} first=${true} path="/admin/password" onDone=${() => go("overview.htm")} />`;
}

await start({ title: () => t("First password"), view: Setup, needs: "nobody" });
