import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * A unix socket, or a port of this machine, in front of another one that sometimes swallows a reply and closes both ends: the server has done what
 * it was asked, and the client cannot know. Owns its sockets and its temporary folder.
 */
export class CuttingProxy implements AsyncDisposable {
  readonly #folder: string;
  readonly #target: Target;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #cut: () => boolean = () => false;
  #cuts = 0;

  private constructor(folder: string, target: Target) {
    this.#folder = folder;
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  static async start(target: string): Promise<CuttingProxy> {
    const proxy = new CuttingProxy(await mkdtemp(join(tmpdir(), 'wp-cut-')), { path: target });
    proxy.#server.listen(proxy.socketPath);
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** In front of a `host:port`. */
  static async startAtPort(target: string): Promise<CuttingProxy> {
    const { hostname, port } = new URL(`tcp://${target}`);
    const place = { host: hostname, port: Number(port) };
    const proxy = new CuttingProxy(await mkdtemp(join(tmpdir(), 'wp-cut-')), place);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** Where it listens, when that is a port. */
  get address(): string {
    const bound = this.#server.address();
    return typeof bound === 'object' && bound !== null ? `127.0.0.1:${bound.port}` : '';
  }

  get socketPath(): string {
    return join(this.#folder, 'cut.sock');
  }

  get cuts(): number {
    return this.#cuts;
  }

  /** Asked once for each piece of a reply. */
  cutWhen(cut: () => boolean): void {
    this.#cut = cut;
  }

  #join(client: Socket): void {
    const server = connect(this.#target);
    const close = () => {
      client.destroy();
      server.destroy();
      this.#sockets.delete(client);
      this.#sockets.delete(server);
    };
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.on('error', close);
      socket.on('close', close);
    }
    client.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      if (this.#cut()) {
        this.#cuts += 1;
        close();
      } else if (!client.destroyed) {
        client.write(bytes);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

type Target = { readonly path: string } | { readonly host: string; readonly port: number };
