/** Where the tests find the page. */

export const PORT = 8321;

/** Resolves to this machine, and is no secure context over plain http. */
export const PLAIN_HOST = "studio.test";
