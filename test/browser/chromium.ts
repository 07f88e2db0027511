import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { findProgram } from '../support/docker-engine.ts';
import { within } from '../support/within.ts';

/** Only a browser that hangs takes so long. */
const patienceMs = 60_000;

/** Why there is no browser, for a skip; null when there is one. */
export function chromiumMissing(): string | null {
  return findProgram('chromium') === null ? 'chromium is not installed' : null;
}

/**
 * A headless Chromium with one page, driven by its own debugging protocol. Owns the process, its profile folder and the
 * socket to the page; whatever the page says on its console is kept for the message of a test that fails.
 */
export class Chromium implements AsyncDisposable {
  readonly console: string[] = [];
  readonly #process: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #profile: string;
  #page: WebSocket | null = null;
  #lastId = 0;
  readonly #answers = new Map<number, (answer: Answer) => void>();

  static async start(): Promise<Chromium> {
    const browser = new Chromium();
    try {
      await browser.#openPage();
      return browser;
    } catch (error) {
      await browser[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor() {
    this.#profile = mkdtempSync(join(tmpdir(), 'wp-chromium-'));
    const flags = [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--no-default-browser-check',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-crash-reporter',
      '--window-size=1000,700',
      '--remote-debugging-port=0',
      `--user-data-dir=${this.#profile}`,
      'about:blank',
    ];
    // A group of its own: the browser is a dozen processes, and all of them have to go.
    this.#process = spawn('chromium', flags, {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
      env: { PATH: process.env.PATH, HOME: this.#profile },
    });
    this.#exited = once(this.#process, 'exit');
  }

  async navigate(url: string): Promise<void> {
    await this.#send('Page.navigate', { url });
  }

  /** The value of an expression in the page; a promise is awaited. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (answer.exceptionDetails !== undefined) throw new Error(JSON.stringify(answer.exceptionDetails));
    return (answer.result as { value?: unknown } | undefined)?.value;
  }

  /** Settles when the expression is true in the page; asked again and again, because a page may be replaced meanwhile. */
  async until(expression: string): Promise<void> {
    const endMs = performance.now() + patienceMs;
    const isTrue = `(() => { try { return Boolean(${expression}); } catch { return false; } })()`;
    while ((await this.evaluate(isTrue).catch(() => false)) !== true) {
      if (performance.now() > endMs) throw new Error(`waited in vain: ${expression}\n${await this.#seen()}`);
      await delay(20);
    }
  }

  async #seen(): Promise<string> {
    const text = await this.evaluate('document.body.innerText').catch(String);
    return `${String(text).trim()}\n${this.console.slice(-5).join('\n')}`;
  }

  /** As a keyboard types it, into whatever has the focus. */
  async type(text: string): Promise<void> {
    for (const character of text) {
      const isEnter = character === '\n';
      const key = isEnter
        ? { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13, text: '\r' }
        : { key: character, text: character };
      await this.#send('Input.dispatchKeyEvent', { type: 'keyDown', ...key });
      await this.#send('Input.dispatchKeyEvent', { type: 'keyUp', key: key.key });
    }
  }

  /** With Ctrl held down. */
  async control(letter: string): Promise<void> {
    const key = {
      key: letter,
      code: `Key${letter.toUpperCase()}`,
      modifiers: 2,
      windowsVirtualKeyCode: letter.toUpperCase().charCodeAt(0),
    };
    await this.#send('Input.dispatchKeyEvent', { type: 'rawKeyDown', ...key });
    await this.#send('Input.dispatchKeyEvent', { type: 'keyUp', ...key });
  }

  async screenshot(): Promise<Buffer> {
    const { data } = await this.#send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(String(data), 'base64');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#page?.terminate();
    const { pid } = this.#process;
    if (pid !== undefined && this.#process.exitCode === null && this.#process.signalCode === null) {
      process.kill(-pid, 'SIGKILL');
      await this.#exited;
    }
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }

  async #openPage(): Promise<void> {
    const { host } = new URL(await within(this.#debuggerUrl(), () => 'the browser being ready', patienceMs));
    const socket = new WebSocket(await this.#pageUrl(host), { perMessageDeflate: false });
    this.#page = socket;
    socket.on('message', (data) => this.#onMessage(JSON.parse(String(data)) as Message));
    await within(once(socket, 'open'), () => 'the socket to the page', patienceMs);
    socket.on('error', () => {});
    await Promise.all([
      this.#send('Page.enable', {}),
      this.#send('Runtime.enable', {}),
      this.#send('Log.enable', {}),
    ]);
  }

  /** The browser can be asked a moment before its first page is there. */
  async #pageUrl(host: string): Promise<string> {
    const endMs = performance.now() + patienceMs;
    for (;;) {
      const signal = AbortSignal.timeout(patienceMs);
      const pages = (await (await fetch(`http://${host}/json/list`, { signal })).json()) as readonly {
        readonly type: string;
        readonly webSocketDebuggerUrl: string;
      }[];
      const page = pages.find(({ type }) => type === 'page');
      if (page !== undefined) return page.webSocketDebuggerUrl;
      if (performance.now() > endMs) throw new Error('the browser has no page');
      await delay(20);
    }
  }

  async #debuggerUrl(): Promise<string> {
    const { stderr } = this.#process;
    if (stderr === null) throw new Error('the browser has no stderr');
    for await (const line of createInterface(stderr)) {
      const match = /DevTools listening on (ws:\S+)/.exec(line);
      if (match?.[1] !== undefined) {
        stderr.resume();
        return match[1];
      }
    }
    throw new Error('the browser ended before it could be driven');
  }

  #send(method: string, params: object): Promise<Answer> {
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise<Answer>((resolve) => {
      this.#answers.set(id, resolve);
      this.#page?.send(JSON.stringify({ id, method, params }));
    });
    return within(answer, () => `the answer to ${method}\n${this.console.slice(-5).join('\n')}`, patienceMs);
  }

  #onMessage({ id, result, error, method, params }: Message): void {
    if (id !== undefined) {
      this.#answers.get(id)?.(result ?? { exceptionDetails: error });
      this.#answers.delete(id);
    } else if (
      method === 'Runtime.consoleAPICalled' ||
      method === 'Runtime.exceptionThrown' ||
      method === 'Log.entryAdded'
    ) {
      this.console.push(JSON.stringify(params));
    }
  }
}

type Answer = Readonly<Record<string, unknown>>;

interface Message {
  readonly id?: number;
  readonly result?: Answer;
  readonly error?: unknown;
  readonly method?: string;
  readonly params?: unknown;
}
