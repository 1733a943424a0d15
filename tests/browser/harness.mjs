// Starts what an end-to-end test needs: a server with an empty data folder, and a browser with an empty profile.
//
//   const server = await startServer();            // VECINO_BIN names the binary
//   const browser = await startBrowser();          // CHROMIUM names the browser
//   const page = await browser.newPage();
//   await page.goto(server.url);
//   await browser.close(); await server.stop();    // both also remove their temporary folders

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium } from 'playwright-core';

const PATIENCE_MS = 60_000;

// Quiet: the browser talks to nobody but the server under test.
const BROWSER_SWITCHES = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Starts a server and waits until it is healthy.
 *
 * `dataDir`: use this folder (and leave it) instead of a temporary one; `port`: instead of a free one;
 * `args`: more arguments of `vecino serve`; `env`: more variables.
 */
export async function startServer({ dataDir, port, args = [], env = {} } = {}) {
  const binary = process.env.VECINO_BIN;
  if (!binary) throw new Error('VECINO_BIN must name the server binary; `cargo xtask test` sets it');
  const folder = dataDir ?? (await temporaryFolder('data'));
  const address = `127.0.0.1:${port ?? (await freePort())}`;
  const child = spawn(binary, ['serve', '--data-dir', folder, '--listen', address, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => (log += bytes));

  const end = async (signal) => {
    const running = child.exitCode === null && child.signalCode === null;
    if (running) child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    await ended;
    clearTimeout(timer);
    return { code: child.exitCode, signal: child.signalCode };
  };
  const removeFolder = () => (dataDir === undefined ? rm(folder, { recursive: true, force: true }) : undefined);
  const server = {
    url: `http://${address}`,
    port: Number(address.split(':')[1]),
    pid: child.pid,
    dataDir: folder,
    /** All that the server has written to its outputs. */
    log: () => log,
    /** Stops the server as an operator would, removes a temporary data folder, and says how the process ended. */
    async stop() {
      const how = await end('SIGTERM');
      await removeFolder();
      return how;
    },
    /** Kills the server at once and keeps its data folder, to be opened by a second server. */
    kill9: () => end('SIGKILL'),
    removeFolder: () => rm(folder, { recursive: true, force: true }),
  };

  const deadline = Date.now() + PATIENCE_MS;
  while (!(await isHealthy(server.url))) {
    const gone = child.exitCode !== null || child.signalCode !== null;
    if (gone || Date.now() > deadline) {
      await server.stop();
      throw new Error(`the server ${gone ? 'ended before it answered' : 'did not answer'}; it wrote:\n${log}`);
    }
    await sleep(50);
  }
  return server;
}

/** Starts Chromium with an empty profile, or with the profile in `profileDir` (which is left there). */
export async function startBrowser({ profileDir, args = [] } = {}) {
  const profile = profileDir ?? (await temporaryFolder('profile'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    headless: true,
    args: [...BROWSER_SWITCHES, ...args],
  });
  context.setDefaultTimeout(PATIENCE_MS / 2);
  context.on('close', () => {
    if (profileDir === undefined) rm(profile, { recursive: true, force: true, maxRetries: 5 }).catch(() => {});
  });
  return context;
}

/** Collects what goes wrong in a page: uncaught errors, console errors, failed requests. */
export function watchForErrors(page) {
  const errors = [];
  page.on('pageerror', (error) => errors.push(`uncaught: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') errors.push(`console: ${message.text()}`);
  });
  page.on('requestfailed', (request) => errors.push(`request: ${request.url()} ${request.failure()?.errorText}`));
  return errors;
}

export function temporaryFolder(what) {
  return mkdtemp(join(tmpdir(), `vecino-${what}-`));
}

async function isHealthy(url) {
  try {
    return (await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(2_000) })).ok;
  } catch {
    return false;
  }
}

async function freePort() {
  const socket = createServer().listen(0, '127.0.0.1');
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  await once(socket, 'close');
  return port;
}
