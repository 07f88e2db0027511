import type { ChannelOpener } from '../../../protocol/channel-opener.ts';
import { encodeXgenPort, xgenTypes } from '../../../protocol/xgen-messages.ts';
import type { Log } from '../../observability/log.ts';
import { watchPorts } from '../../operations/ports.ts';
import type { XgenOutlet } from './xgen-outlet.ts';

export interface XgenPortsDeps {
  readonly guest: ChannelOpener;
  readonly outlet: Pick<XgenOutlet, 'send'>;
  readonly log: Log;
}

/**
 * Tells one connection which ports are open. What is open at its beginning is told a moment after SandboxReady, because
 * clients listen for ports only once they have processed that; whatever changes meanwhile is told as it is by then.
 */
export class XgenPorts {
  readonly #deps: XgenPortsDeps;
  readonly #closed = new AbortController();
  readonly #open = new Set<number>();
  readonly #told = new Set<number>();
  #quiet: NodeJS.Timeout | undefined;

  constructor(deps: XgenPortsDeps) {
    this.#deps = deps;
  }

  /** SandboxReady was sent just now. */
  start(): void {
    this.#quiet = setTimeout(() => {
      this.#quiet = undefined;
      for (const port of [...this.#open].sort((a, b) => a - b)) this.#tell(port);
    }, quietMs);
    this.#run().catch((error: unknown) => {
      if (!this.#closed.signal.aborted) this.#deps.log.debug({ err: error }, 'xgen: ports are not watched');
    });
  }

  close(): void {
    clearTimeout(this.#quiet);
    this.#closed.abort(new Error('the connection was closed'));
  }

  async #run(): Promise<void> {
    const watch = await watchPorts(this.#deps.guest, { signal: this.#closed.signal });
    for await (const { port, open } of watch.changes) {
      if (open) this.#open.add(port);
      else this.#open.delete(port);
      if (this.#quiet === undefined) this.#tell(port);
    }
  }

  /** Says what the port is now, unless that is what was said last. */
  #tell(port: number): void {
    const open = this.#open.has(port);
    if (open === this.#told.has(port)) return;
    if (open) this.#told.add(port);
    else this.#told.delete(port);
    const type = open ? xgenTypes.PortOpen : xgenTypes.PortClose;
    this.#deps.outlet.send({ type, payload: encodeXgenPort(port) });
  }
}

const quietMs = 300;
