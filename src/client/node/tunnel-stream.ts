import { Duplex } from 'node:stream';
import type { TunnelConnection } from '../sandbox-ports.ts';

/** A connection into a sandbox as a stream of Node, which is what Node's HTTP client and proxies take. */
export class TunnelStream extends Duplex {
  readonly #tunnel: TunnelConnection;
  readonly #bytes: AsyncIterator<Uint8Array>;

  constructor(tunnel: TunnelConnection) {
    super({ allowHalfOpen: true });
    this.#tunnel = tunnel;
    this.#bytes = tunnel.bytes;
  }

  override _read(): void {
    this.#bytes.next().then(
      ({ done, value }) => this.push(done === true ? null : value),
      (error: Error) => this.destroy(error),
    );
  }

  override _write(bytes: Uint8Array, _encoding: string, callback: (error?: Error | null) => void): void {
    this.#tunnel.write(bytes).then(
      () => callback(),
      (error: Error) => callback(error),
    );
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#tunnel.end();
    callback();
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#tunnel.closed.catch(() => {});
    this.#tunnel.close();
    callback(error);
  }
}
