/** Drives the page as built for release (`dist/`) in the system's Chromium, with WebGPU on SwiftShader and without WebGPU. */

import { existsSync } from "node:fs";
import { defineConfig } from "@playwright/test";

import { PLAIN_HOST, PORT } from "./places";

const executablePath =
  process.env.MERGE_STUDIO_CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((path) => existsSync(path));

const QUIET = [
  "--no-sandbox",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // A name that is no secure context, although it is this machine.
  `--host-resolver-rules=MAP ${PLAIN_HOST} 127.0.0.1`,
];

const browser = (flags: string[]) => ({ launchOptions: { executablePath, args: [...QUIET, ...flags] } });

export default defineConfig({
  testDir: ".",
  outputDir: "../../test-results",
  fullyParallel: false,
  workers: 1,
  timeout: 120_000,
  expect: { timeout: 30_000 },
  forbidOnly: Boolean(process.env.CI),
  reporter: [["list"]],
  use: { baseURL: `http://127.0.0.1:${PORT}/`, locale: "en-GB", trace: "retain-on-failure", acceptDownloads: true },
  projects: [
    {
      name: "webgpu",
      use: browser(["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]),
      testIgnore: /.*\.cpu\.spec\.ts/,
    },
    { name: "cpu", use: browser(["--disable-features=WebGPU"]), testIgnore: /.*\.gpu\.spec\.ts/ },
  ],
  webServer: {
    command: `node tests/e2e/server.mjs ${PORT}`,
    cwd: "../..",
    url: `http://127.0.0.1:${PORT}/`,
    reuseExistingServer: false,
  },
});
