import { once } from 'node:events';
import { type ClientOptions, WebSocket } from 'ws';
import { within } from '../support/within.ts';
import { type Decoded, decode } from './msgpack-reader.ts';
import { type Encodable, encode } from './msgpack-writer.ts';

/** Frame types of the published protocol, as a client knows them. */
export const T = {
  ping: 0x01,
  pong: 0x02,
  error: 0x03,
  ack: 0x04,
  close: 0x11,
  start: 0x20,
  stdin: 0x21,
  stdout: 0x22,
  stderr: 0x23,
  exit: 0x24,
  signal: 0x25,
  resize: 0x26,
  read: 0x30,
  write: 0x31,
  list: 0x32,
  remove: 0x33,
  watch: 0x34,
  event: 0x35,
  portOpen: 0x40,
  portClose: 0x41,
  ready: 0x50,
  sandboxError: 0x51,
} as const;

export class ServerFrame {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get type(): number {
    return this.bytes.readUInt8(0);
  }
  get channel(): number {
    return this.bytes.readUInt32BE(1);
  }
  get id(): number {
    return this.bytes.readUInt32BE(5);
  }
  get payload(): Buffer {
    return this.bytes.subarray(9);
  }
  get hex(): string {
    return this.bytes.toString('hex');
  }
  /** The payload as a map; empty where there is none. */
  get map(): { [key: string]: Decoded } {
    return this.payload.length === 0 ? {} : (decode(this.payload) as { [key: string]: Decoded });
  }
}

export interface ExecOutcome {
  readonly ack: ServerFrame | undefined;
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
  /** In the order in which they came. */
  readonly frames: readonly ServerFrame[];
}

/** A client that knows nothing but the published protocol: bytes in, bytes out, everything kept in order. */
export class XgenClient implements Disposable {
  readonly socket: WebSocket;
  /** Every frame so far, unless `onFrame` takes them. */
  readonly frames: ServerFrame[] = [];
  readonly #closed: Promise<{ readonly code: number; readonly reason: string }>;
  /** Instead of keeping frames, for tests of bulk output. */
  onFrame: ((frame: ServerFrame) => void) | undefined;
  readonly #waiting = new Set<() => void>();
  #nextId = 1_000;

  /** Open, with SandboxReady in `frames`. */
  static async connect(url: string, options: ClientOptions = {}): Promise<XgenClient> {
    const client = new XgenClient(url, options);
    await within(once(client.socket, 'open'), () => 'no socket opened');
    await client.find((frame) => frame.type === T.ready);
    return client;
  }

  private constructor(url: string, options: ClientOptions) {
    // Published clients offer compression.
    this.socket = new WebSocket(url, { perMessageDeflate: true, ...options });
    this.socket.on('message', (data: Buffer) => {
      const frame = new ServerFrame(data);
      if (this.onFrame) this.onFrame(frame);
      else this.frames.push(frame);
      this.#wake();
    });
    this.#closed = once(this.socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
    void this.#closed.then(() => this.#wake());
  }

  get closed(): Promise<{ readonly code: number; readonly reason: string }> {
    return within(this.#closed, () => `the socket stays open, after ${this.#lastFrames()}`);
  }

  send(type: number, channel: number, id: number, payload: Encodable | Buffer = Buffer.alloc(0)): void {
    const head = Buffer.alloc(9);
    head[0] = type;
    head.writeUInt32BE(channel, 1);
    head.writeUInt32BE(id, 5);
    this.socket.send(Buffer.concat([head, Buffer.isBuffer(payload) ? payload : encode(payload)]));
  }

  sendHex(hex: string): void {
    this.socket.send(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  }

  /** The first frame, past or future, from index `from` on. Rejects when the socket closes without one. */
  async find(wanted: (frame: ServerFrame) => boolean, from = 0): Promise<ServerFrame> {
    for (let at = from; ; ) {
      for (; at < this.frames.length; at++) {
        const frame = this.frames[at];
        if (frame && wanted(frame)) return frame;
      }
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error('closed before the frame came');
      const more = new Promise<void>((resolve) => this.#waiting.add(resolve));
      await within(more, () => `no frame such as is wanted, after ${this.#lastFrames()}`);
    }
  }

  onChannel(channel: number, from = 0): readonly ServerFrame[] {
    return this.frames.slice(from).filter((frame) => frame.channel === channel);
  }

  /** The answer to a request with this id, which no other frame has. */
  answer(id: number): Promise<ServerFrame> {
    return this.find((frame) => frame.id === id);
  }

  /** Asks with an id of its own. */
  async ask(type: number, payload: Encodable, channel = 0): Promise<ServerFrame> {
    const id = this.#nextId++;
    this.send(type, channel, id, payload);
    return this.answer(id);
  }

  /** Runs to the end on a channel of its own. */
  async exec(
    channel: number,
    command: string,
    args: readonly string[] = [],
    more: { readonly [key: string]: Encodable } = {},
  ): Promise<ExecOutcome> {
    const from = this.frames.length;
    this.send(T.start, channel, 0, { command, args, ...more });
    return this.outcome(channel, from);
  }

  sh(
    channel: number,
    script: string,
    more: { readonly [key: string]: Encodable } = {},
  ): Promise<ExecOutcome> {
    return this.exec(channel, 'sh', ['-c', script], more);
  }

  /** Of the process on the channel, from its Ack to its ExecExit. */
  async outcome(channel: number, from = 0): Promise<ExecOutcome> {
    const last = await this.find(
      (frame) => frame.channel === channel && (frame.type === T.exit || frame.type === T.error),
      from,
    );
    if (last.type === T.error) throw new Error(`the exec was refused: ${JSON.stringify(last.map)}`);
    const frames = this.onChannel(channel, from);
    return {
      ack: frames.find((frame) => frame.type === T.ack),
      stdout: textOf(frames, T.stdout),
      stderr: textOf(frames, T.stderr),
      exitCode: Number(last.map.exit_code),
      frames,
    };
  }

  /** What a channel has put out so far holds the text. */
  async output(channel: number, text: string, from = 0): Promise<string> {
    await this.find(() => textOf(this.onChannel(channel, from), T.stdout).includes(text), from);
    return textOf(this.onChannel(channel, from), T.stdout);
  }

  /** What a channel has put out so far matches, up to here if it ends in `$`. */
  async shows(channel: number, pattern: RegExp): Promise<void> {
    await this.find(() => pattern.test(textOf(this.onChannel(channel), T.stdout)));
  }

  /** Settles when everything sent so far has been taken in. */
  async roundTrip(): Promise<void> {
    const id = this.#nextId++;
    this.send(T.ping, 0, id);
    await this.answer(id);
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }

  #lastFrames(): string {
    const last = this.frames.slice(-5).map(({ type, channel, id, payload }) => {
      const text = JSON.stringify(payload.subarray(0, 200).toString());
      return `type ${type}, channel ${channel}, id ${id}: ${text}`;
    });
    return `${this.frames.length} frames: ${last.join('; ')}`;
  }

  #wake(): void {
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

export function textOf(frames: readonly ServerFrame[], type: number): string {
  return Buffer.concat(
    frames.filter((frame) => frame.type === type).map((frame) => frame.payload),
  ).toString();
}

/** What an upgrade that is refused is answered with. */
export async function refusedUpgrade(
  url: string,
  options: ClientOptions = {},
): Promise<{
  readonly status: number;
  readonly type: string;
  readonly body: Readonly<Record<string, unknown>>;
}> {
  const socket = new WebSocket(url, options);
  // Ending the attempt on purpose is an error for the socket.
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  socket.terminate();
  return {
    status: response.statusCode,
    type: String(response.headers['content-type']),
    body: JSON.parse(Buffer.concat(chunks).toString()),
  };
}
