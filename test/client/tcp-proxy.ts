import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A port in front of another one. `cut` ends all its connections without a goodbye, as a cable that is pulled. */
export class TcpProxy implements AsyncDisposable {
  readonly #server: Server;
  #target: { host: string; port: number };
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** Bytes of answers after which the next connection is cut by itself. */
  #cutAfterBytes = Number.POSITIVE_INFINITY;
  #cuts = 0;

  /** In front of the host and port of this URL. */
  static async start(url: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy({ host: hostname, port: Number(port) });
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  private constructor(target: { host: string; port: number }) {
    this.#target = target;
    this.#server = createServer((client) => this.#join(client));
  }

  get cuts(): number {
    return this.#cuts;
  }

  /** The same URL, by way of the proxy. */
  urlOf(url: string): string {
    const through = new URL(url);
    through.host = `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return through.href;
  }

  /** Where connections go from now on: what was behind came back on another port. */
  retarget(url: string): void {
    const { hostname, port } = new URL(url);
    this.#target = { host: hostname, port: Number(port) };
  }

  /** From now on every connection is cut once it has brought this many bytes. */
  cutEvery(bytes: number): void {
    this.#cutAfterBytes = bytes;
  }

  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
    this.#cuts += this.#pairs.size;
    this.#pairs.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
  }

  #join(client: Socket): void {
    const server = connect(this.#target);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    let brought = 0;
    for (const socket of pair) {
      socket.on('error', () => {});
      socket.on('close', () => {
        this.#pairs.delete(pair);
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', (bytes) => server.write(bytes));
    server.on('data', (bytes) => {
      brought += bytes.length;
      if (brought < this.#cutAfterBytes) {
        client.write(bytes);
        return;
      }
      // A part of what came is the middle of a frame.
      this.#cuts += 1;
      client.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => client.resetAndDestroy());
      server.destroy();
    });
  }
}
