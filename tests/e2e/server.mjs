/** node server.mjs PORT [DIST]: serves the built page, at the root and once more under /studio/, to show that a sub-path works. */

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(process.argv[3] ?? fileURLToPath(new URL("../../dist", import.meta.url)));
const PORT = Number(process.argv[2]);
const TYPES = {
  ".css": "text/css",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
};

createServer(async (request, response) => {
  const path = decodeURIComponent(new URL(request.url, "http://localhost").pathname);
  const inside = path.startsWith("/studio/") ? path.slice("/studio".length) : path;
  const file = join(ROOT, inside.endsWith("/") ? `${inside}index.html` : inside);
  const found = file.startsWith(ROOT + sep) && (await stat(file).catch(() => undefined))?.isFile();
  if (!found) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
}).listen(PORT, "127.0.0.1");
