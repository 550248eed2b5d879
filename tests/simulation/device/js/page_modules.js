// Where the page's modules are, for tests: they are imported from where they are served from.

const PAGE = new URL("../../../../simulation/device/keyboard_page/", import.meta.url);

/** A module of the page, such as "keys.js". */
export const pageModule = (name) => import(new URL(name, PAGE));
