// Cuts a text/event-stream into events; knows no network and no clock (WHATWG HTML, section 9.2.6).

/** @typedef {{event: string, data: string, id: string}} StreamEvent */

export class EventCutter {
  constructor() {
    this.tail = "";
    this.event = "";
    /** @type {string[]} */
    this.data = [];
    this.id = "";
  }

  /** Feed any piece of the stream; get the events that it completes. @param {string} text @returns {StreamEvent[]} */
  feed(text) {
    const lines = (this.tail + text).split(/\r\n|\n|\r(?!$)/);
    this.tail = lines.pop() ?? "";
    /** @type {StreamEvent[]} */
    const events = [];
    for (const line of lines) {
      if (line === "") {
        if (this.data.length) events.push({ event: this.event || "message", data: this.data.join("\n"), id: this.id });
        this.event = "";
        this.data = [];
      } else if (!line.startsWith(":")) {
        this.take(line);
      }
    }
    return events;
  }

  /** @param {string} line */
  take(line) {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (field === "event") this.event = value;
    else if (field === "data") this.data.push(value);
    else if (field === "id" && !value.includes("\0")) this.id = value;
  }
}
