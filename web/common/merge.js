// A delta laid over the last picture. Pure: what did not change keeps its identity, so that it is not drawn again.

/** @typedef {import("./types.js").State} State */

/**
 * @template {{id: string}} T
 * @param {T[]} items @param {Record<string, Partial<T>>|undefined} changes
 * @returns {T[]}
 */
function laidOver(items, changes) {
  if (!changes || !Object.keys(changes).length) return items;
  for (const id of Object.keys(changes)) {
    if (!items.some((item) => item.id === id)) throw new RangeError(`delta names ${id}, which is not in the picture`);
  }
  return items.map((item) => (item.id in changes ? { ...item, ...changes[item.id] } : item));
}

/**
 * The picture as the pages expect it, whatever a newer agent adds.
 * @param {any} said @returns {State}
 */
export function pictureOf(said) {
  const circuits = said.site?.circuits ?? said.circuits ?? [];
  return {
    ...said,
    site: { ...said.site, circuits },
    charge_points: said.charge_points ?? [],
    meters: said.meters ?? [],
    inputs: said.inputs ?? [],
    alarms: said.alarms ?? [],
  };
}

/**
 * The picture after a delta. Raises: RangeError when the delta does not fit; then a new snapshot is needed.
 * @param {State} state @param {any} delta @returns {State}
 */
export function withDelta(state, delta) {
  const circuits = laidOver(state.site.circuits, delta.circuits);
  return {
    ...state,
    site: delta.site || circuits !== state.site.circuits ? { ...state.site, ...delta.site, circuits } : state.site,
    charge_points: laidOver(state.charge_points, delta.charge_points),
    meters: laidOver(state.meters, delta.meters),
    inputs: laidOver(state.inputs, delta.inputs),
    dimming: delta.dimming ? { ...state.dimming, ...delta.dimming } : state.dimming,
    alarms: delta.alarms ?? state.alarms,
    cloud: delta.cloud ? { ...state.cloud, ...delta.cloud } : state.cloud,
    cycle: delta.cycle ? { ...state.cycle, ...delta.cycle } : state.cycle,
  };
}
