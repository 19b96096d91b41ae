// Which of the three links is down: browser to server, cloud to agent, agent to device.
import { clock } from "./format.js";
import { line, lostSince, state, trouble } from "./live.js";
import { html } from "./ui.js";
import { t, tn } from "./words.js";
import { me } from "./frame.js";

/** Names of what does not answer at the site. @param {import("./types.js").State} picture */
function silent(picture) {
  const points = picture.charge_points.filter((point) => point.status === "offline");
  const meters = picture.meters.filter((meter) => meter.answering === false || meter.stale);
  return [...points, ...meters].map((thing) => thing.name || thing.id);
}

export function Banner() {
  const since = lostSince.value;
  if (line.value === "lost" && since) {
    const tunnel = me.value.remote && (trouble.value?.status ?? 0) >= 500;
    return html`<div class="banner bad" role="status" data-link=${tunnel ? "cloud-agent" : "browser-server"}>
      <p><strong>${tunnel
        ? t("The cloud server has no connection to the installation since {time}.", { time: clock(since) })
        : t("No connection to the server since {time}.", { time: clock(since) })}</strong>${" "}
      ${t("Charging goes on by itself; the values are the last known ones. The page connects again by itself.")}</p>
    </div>`;
  }
  const picture = state.value;
  if (!picture) return null;
  const names = silent(picture);
  return html`<div class="banners">
    ${line.value === "polling"
      ? html`<div class="banner" role="status"><p>${t("The live stream does not get through; values are fetched every few seconds.")}</p></div>`
      : null}
    ${names.length
      ? html`<div class="banner warn" role="status" data-link="agent-device"><p><strong>${tn(
          "{n} device does not answer:",
          "{n} devices do not answer:",
          names.length,
        )}</strong>${" "}${names.slice(0, 5).join(", ")}${names.length > 5 ? " …" : ""}. ${tn(
          "Its share is kept reserved, so that no fuse is at risk.",
          "Their shares are kept reserved, so that no fuse is at risk.",
          names.length,
        )}</p></div>`
      : null}
  </div>`;
}
