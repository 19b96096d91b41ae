// The one place where pages get their rendering tools from.
import htm from "../vendor/htm.js";
import { Component, createElement, Fragment, render } from "../vendor/preact.js";

/** Tagged template to virtual elements; markup in data stays text. */
export const html = htm.bind(createElement);
export { Component, Fragment, render };
export { useEffect, useErrorBoundary, useId, useLayoutEffect, useRef, useState } from "../vendor/hooks.js";
export { batch, computed, effect, signal, untracked, useComputed, useSignal } from "../vendor/signals.js";
