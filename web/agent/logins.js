// Who is logged in here, and the admin's second factor.
import { isAdmin, me, start } from "../common/frame.js";
import { Logins } from "../common/logins.js";
import { SecondFactor } from "../common/secondfactor.js";
import { html } from "../common/ui.js";
import { t } from "../common/words.js";

function LoginsPage() {
  return html`<${Logins} path="/logins" title=${t("Logged in now")} help=${isAdmin()
    ? t("End what you do not know; after that, change the password or the user's ID.")
    : t("End what you do not know, and tell the administrator.")} />
    ${isAdmin() ? html`<${SecondFactor} path="/admin/second-factor" here=${!me.value.remote} />` : null}`;
}

await start({ title: () => t("Logins"), view: LoginsPage, needs: "user" });
