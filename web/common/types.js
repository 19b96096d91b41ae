// What the API answers, as far as the pages look at it. Numbers are SI, times are UTC; unknown is null.

/** @typedef {[number|null, number|null, number|null]} Phases  L1, L2, L3 of the site */
/** @typedef {{code: string, text?: string, sentence?: string, fields?: Record<string, any>}} Because */
/** @typedef {{id: string, name?: string, parent?: string|null, limit_a: Phases, used_a: Phases, free_a: Phases,
 *   reserve_a?: number, stale?: boolean}} Circuit */
/** @typedef {{id: string, name: string, status: string, mode: string, setpoint_a: number|null, current_a: Phases,
 *   power_w: number|null, session_wh: number|null, because?: Because, ruled_mode?: string|null, ruled_by?: string|null, circuit?: string, phases?: number[],
 *   override_a?: number|null, soc_pct?: number|null, capacity_wh?: number|null, min_a?: number, max_a?: number, step_a?: number}} ChargePoint */
/** @typedef {{id: string, name?: string, role: string, power_w: number|null, current_a: Phases, age_s: number|null,
 *   stale?: boolean, answering?: boolean, circuit?: string}} Meter */
/** @typedef {{name: string, serial: string, version: string, time: string, circuits: Circuit[],
 *   surplus_w?: number|null, storage_locked?: boolean}} SiteState */
/** @typedef {{site: SiteState, charge_points: ChargePoint[], meters: Meter[],
 *   alarms: Because[], cloud: {state: string, last_error?: string|null}, cycle: {number: number, duration_s: number},
 *   inputs: any[], dimming?: Record<string, any>|null,
 *   api: {major: number, features: string[]}}} State */
/** @typedef {{role: "nobody"|"user"|"installer"|"admin", user: string|null, name?: string|null, remote: boolean,
 *   language: string, timezone?: string|null, setup?: boolean, cloud_admin?: boolean, second_factor?: boolean, api: {major: number, features: string[]}}} Me */
/** @typedef {{text: string, plain: string, fields: Record<string, unknown>}} Said */

export {};
