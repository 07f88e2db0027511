import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';
import { parseError } from '../../protocol/control-messages.ts';
import { encodeFrame, type Frame, parseFrame } from '../../protocol/frame.ts';
import { messageName, messageTypes } from '../../protocol/message-types.ts';
import { within } from '../support/within.ts';

/** A client of the native protocol with nothing between a test and the frames: it grants no credit by itself. */
export class RawClient implements Disposable {
  readonly ws: WebSocket;
  /** Everything that came and that no `next` has taken. */
  readonly frames: Frame[] = [];
  readonly #closed: Promise<{ code: number; reason: string }>;
  receivedBytes = 0;
  readonly #wakes: (() => void)[] = [];

  /** Settles once the socket is open; rejects with the status and body of a refusal. */
  static async open(url: string, options: RawOptions = {}): Promise<RawClient> {
    const { token, protocols = ['warmpool.v1'], headers = {}, ...rest } = options;
    const ws = new WebSocket(url, [...protocols], {
      perMessageDeflate: false,
      headers: { ...(token !== undefined && { authorization: `Bearer ${token}` }), ...headers },
      ...rest,
    });
    const client = new RawClient(ws);
    const refused = once(ws, 'unexpected-response').then(async ([, response]) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      throw new RefusedUpgrade(response.statusCode ?? 0, body, response.headers);
    });
    refused.catch(() => {});
    await within(Promise.race([once(ws, 'open'), refused]), () => `the upgrade of ${url}`);
    return client;
  }

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('error', () => {});
    this.#closed = new Promise((resolve) => {
      ws.on('close', (code, reason) => {
        resolve({ code, reason: reason.toString() });
        this.#wake();
      });
    });
    ws.on('message', (data: Buffer) => {
      this.receivedBytes += data.length;
      const frame = parseFrame(new Uint8Array(data));
      if ('error' in frame) throw new Error(frame.error);
      this.frames.push(frame.value);
      this.#wake();
    });
  }

  send(type: number, channel: number, id: number, payload: Uint8Array = new Uint8Array(0)): void {
    this.ws.send(encodeFrame({ type, channel, id, payload }));
  }

  /** The first frame that fits, past or future, taken out of `frames`; rejects when the socket closes without one. */
  async next(fits: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const at = this.frames.findIndex(fits);
      const [found] = at === -1 ? [] : this.frames.splice(at, 1);
      if (found) return found;
      if (this.ws.readyState === WebSocket.CLOSED) {
        const { code, reason } = await this.closed;
        throw new Error(
          `closed with ${code} (${reason}); left: ${this.frames.map((each) => describe(each)).join(', ')}`,
        );
      }
      const arrival = new Promise<void>((resolve) => this.#wakes.push(resolve));
      await within(arrival, () => `a frame; left: ${this.frames.slice(-20).map(describe).join(', ')}`);
    }
  }

  #wake(): void {
    for (const wake of this.#wakes.splice(0)) wake();
  }

  /** The next frame of a channel. */
  on(channel: number): Promise<Frame> {
    return this.next((frame) => frame.channel === channel);
  }

  get closed(): Promise<{ code: number; reason: string }> {
    return within(this.#closed, () => `the close; left: ${this.frames.slice(-20).map(describe).join(', ')}`);
  }

  async ready(): Promise<Frame> {
    return this.next((frame) => frame.type === messageTypes.Ready.code);
  }

  [Symbol.dispose](): void {
    this.ws.terminate();
  }
}

export interface RawOptions extends ClientOptions {
  readonly token?: string;
  readonly protocols?: readonly string[];
}

export class RefusedUpgrade extends Error {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;

  constructor(status: number, body: string, headers: RefusedUpgrade['headers']) {
    super(`refused with ${status}: ${body}`);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

export function describe(frame: Frame): string {
  const name = messageName(frame.type);
  const error = frame.type === messageTypes.Error.code ? parseError(frame.payload) : undefined;
  const what = error && 'value' in error ? ` ${error.value.code}` : '';
  return `${name}${what} on ${frame.channel}, id ${frame.id}, ${frame.payload.length} bytes`;
}
