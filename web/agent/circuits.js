// Every circuit's limit as used, free and limit per phase; the tightest one is named.
import { amps, known } from "../common/format.js";
import { html } from "../common/ui.js";
import { t } from "../common/words.js";

/** @typedef {import("../common/types.js").Circuit} Circuit */

/** @param {Circuit} circuit */
const circuitName = (circuit) => circuit.name || circuit.id;

/**
 * The phase of a circuit with the least left, or null while nothing is known.
 * @param {Circuit[]} circuits @returns {{circuit: Circuit, phase: number, free_a: number}|null}
 */
export function tightest(circuits) {
  /** @type {{circuit: Circuit, phase: number, free_a: number}|null} */
  let found = null;
  for (const circuit of circuits) {
    circuit.free_a?.forEach((free, phase) => {
      const limit = circuit.limit_a[phase];
      if (known(free) && known(limit) && limit > 0 && (!found || free < found.free_a)) found = { circuit, phase, free_a: free };
    });
  }
  return found;
}

/**
 * What of each phase's limit is neither reserve nor used nor free, where that is known and more than rounding.
 * @param {Circuit} circuit @returns {(number|null)[]}
 */
export function heldBack(circuit) {
  return circuit.limit_a.map((limit, phase) => {
    const used = circuit.used_a?.[phase];
    const free = circuit.free_a?.[phase];
    if (!known(limit) || !known(used) || !known(free)) return null;
    const held = limit - (circuit.reserve_a ?? 0) - Math.max(0, used) - free;
    return held > 0.1 ? held : null;
  });
}

/** Parents before children, each with its depth. @param {Circuit[]} circuits @returns {[Circuit, number][]} */
export function asTree(circuits) {
  const ids = new Set(circuits.map((circuit) => circuit.id));
  /** @type {[Circuit, number][]} */
  const rows = [];
  /** @param {string|null} parent @param {number} depth */
  const below = (parent, depth) => {
    for (const circuit of circuits) {
      const above = circuit.parent && ids.has(circuit.parent) ? circuit.parent : null;
      if (above === parent && depth < 20) {
        rows.push([circuit, depth]);
        below(circuit.id, depth + 1);
      }
    }
  };
  below(null, 0);
  return rows;
}

/** @param {{circuits: Circuit[]}} props */
export function Circuits({ circuits }) {
  if (!circuits.length) return null;
  const tight = tightest(circuits);
  return html`<section aria-labelledby="circuits">
    <h2 id="circuits">${t("Circuits")}</h2>
    ${tight
      ? html`<p class="binding">${t("Tightest: {circuit}, {phase}, {free} free", {
          circuit: circuitName(tight.circuit),
          phase: `L${tight.phase + 1}`,
          free: amps(tight.free_a),
        })}</p>`
      : null}
    ${circuits.some((circuit) => heldBack(circuit).some(known))
      ? html`<p class="help">${t("Held back is what an overload has cost for some minutes, so that the fuse cools, or what is not given while a meter is silent.")}</p>`
      : null}
    ${asTree(circuits).map(([circuit, depth]) => html`<${OneCircuit} key=${circuit.id} circuit=${circuit} depth=${depth} tight=${tight} />`)}
  </section>`;
}

/** @param {{circuit: Circuit, depth: number, tight: ReturnType<typeof tightest>}} props */
function OneCircuit({ circuit, depth, tight }) {
  const held = heldBack(circuit)
    .map((current, phase) => (known(current) ? `L${phase + 1}\u00a0${amps(current)}` : ""))
    .filter(Boolean)
    .join(", ");
  const kept = [
    circuit.reserve_a ? t("reserve {amps}", { amps: amps(circuit.reserve_a) }) : "",
    held ? t("held back {amps}", { amps: held }) : "",
  ].filter(Boolean);
  return html`<table class=${`bars circuit depth-${Math.min(depth, 3)}${circuit.stale ? " stale" : ""}`}>
    <caption>${circuitName(circuit)}${circuit.stale ? html` <span class="tag warn">${t("meter silent, fallback holds")}</span>` : null}</caption>
    <colgroup><col class="what" /><col /><col class="side" /></colgroup>
    <thead class="unseen"><tr><th scope="col">${t("Phase")}</th><th scope="col">${t("Used of limit")}</th><th scope="col">${t("Free")}</th></tr></thead>
    <tbody>${[0, 1, 2].map((phase) => {
      const limit = circuit.limit_a[phase];
      const used = circuit.used_a?.[phase];
      const free = circuit.free_a?.[phase];
      const share = known(used) && known(limit) && limit > 0 ? Math.min(100, Math.max(0, (100 * used) / limit)) : 0;
      const binds = tight?.circuit.id === circuit.id && tight.phase === phase;
      return html`<tr key=${phase} class=${binds ? "binds" : ""}>
        <th scope="row">L${phase + 1}</th>
        <td class="bar"><span class=${`fill${share >= 97 ? " full" : ""}`} style=${{ inlineSize: `${share}%` }}></span>
          <span class="value">${known(used) ? amps(used) : t("unknown")} / ${amps(limit, 0)}</span></td>
        <td class="toward">${known(free) ? t("{amps} free", { amps: amps(free) }) : t("unknown")}</td>
      </tr>`;
    })}</tbody>
    ${kept.length ? html`<tfoot><tr><td colspan="3" class="help" data-kept>${kept.join(" · ")}</td></tr></tfoot>` : null}
  </table>`;
}
