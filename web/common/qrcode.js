// QR codes, drawn by this page from rows of 0 and 1.
import { html } from "./ui.js";

const QUIET = 4;

/**
 * Dark modules as one path of squares; the light ground is always white, or no camera reads it.
 * @param {{rows: string[], label: string}} props
 */
export function QrCode({ rows, label }) {
  const size = rows.length + 2 * QUIET;
  const path = rows
    .flatMap((row, y) => [...row].map((module, x) => (module === "1" ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : "")))
    .join("");
  return html`<svg class="qr" viewBox=${`0 0 ${size} ${size}`} role="img" aria-label=${label} shape-rendering="crispEdges">
    <path class="ground" d=${`M0 0h${size}v${size}h-${size}z`} /><path d=${path} />
  </svg>`;
}
