// The tab Phones: the conversations, and the phone of the recipient that is selected.

import { element } from "./dom.js";

/** Create the tab. */
export function create() {
  return { node: element("div"), show() {}, hide() {}, change() {}, shortcuts: [] };
}
