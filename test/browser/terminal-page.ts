import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { packageRoot } from '../../src/package-root.ts';
import { bundleForBrowsers } from './bundle.ts';

/** The page of examples/browser-terminal, served as the example serves it, but for a session that a test gives it. */
export class TerminalPage implements AsyncDisposable {
  /** What the page is told when it asks for a sandbox. */
  session: { readonly wsUrl: string; readonly token: string } = { wsUrl: '', token: '' };
  readonly #server: Server;

  static async start(): Promise<TerminalPage> {
    const folder = 'examples/browser-terminal';
    const { script, style } = await bundleForBrowsers(`${folder}/page.mjs`);
    const page = new TerminalPage({
      '/': ['text/html', readFileSync(join(packageRoot(), folder, 'index.html'), 'utf8')],
      '/page.js': ['text/javascript', script],
      '/page.css': ['text/css', style],
    });
    page.#server.listen(0, '127.0.0.1');
    await once(page.#server, 'listening');
    return page;
  }

  private constructor(files: Readonly<Record<string, readonly [type: string, body: string]>>) {
    this.#server = createServer((request, response) => {
      const session = ['application/json', JSON.stringify(this.session)] as const;
      const [type, body] = request.url === '/session' ? session : (files[request.url ?? ''] ?? []);
      response.writeHead(body === undefined ? 404 : 200, { 'content-type': type ?? 'text/plain' });
      response.end(body ?? '');
    });
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}
