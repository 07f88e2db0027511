import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';
import { encodeCredit, encodeError } from '../../protocol/control-messages.ts';
import { encodeFrame, type Frame, noPayload, parseFrame } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encodeReady, type Ready } from '../../protocol/session-messages.ts';
import { within } from '../support/within.ts';

/**
 * The node's side of the socket, driven by a test frame by frame: what the client sends is awaited, what the node would
 * answer is sent by the test. It keeps no rules of its own, so that a test can break any.
 */
export class Responder implements AsyncDisposable {
  readonly connections: ResponderConnection[] = [];
  /** What the next upgrades are refused with: 503, 404, … */
  refusals: number[] = [];
  ready: Ready = readyDefault;
  /** So many of the next connections are taken and then cut, without a Ready. */
  cutsBeforeReady = 0;
  readonly #http: Server;
  readonly #arrived: (() => void)[] = [];

  static async start(): Promise<Responder> {
    const responder = new Responder();
    responder.#http.listen(0, '127.0.0.1');
    await once(responder.#http, 'listening');
    return responder;
  }

  private constructor() {
    const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
    this.#http = createServer();
    this.#http.on('upgrade', (request, socket, head) => {
      const refusal = this.refusals.shift();
      if (refusal !== undefined) {
        const body = JSON.stringify({ error: `refused with ${refusal}` });
        socket.end(
          `HTTP/1.1 ${refusal} No\r\nconnection: close\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        );
        return;
      }
      sockets.handleUpgrade(request, socket, head, (webSocket) => {
        if (this.cutsBeforeReady > 0) {
          this.cutsBeforeReady -= 1;
          webSocket.terminate();
          return;
        }
        const { authorization } = request.headers;
        const connection = new ResponderConnection(webSocket, authorization);
        this.connections.push(connection);
        connection.send(messageTypes.Ready.code, 0, 0, encodeReady(this.ready));
        for (const wake of this.#arrived.splice(0)) wake();
      });
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#http.address() as AddressInfo).port}/warmpool/v1/sandboxes/s/connect`;
  }

  /** The connection with this number, from 0. */
  async connection(index: number): Promise<ResponderConnection> {
    for (;;) {
      const connection = this.connections[index];
      if (connection !== undefined) return connection;
      const arrival = new Promise<void>((resolve) => this.#arrived.push(resolve));
      await within(arrival, () => `connection ${index}; there were ${this.connections.length}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.connections) connection.cut();
    this.#http.close();
    this.#http.closeAllConnections();
  }
}

export class ResponderConnection {
  readonly authorization: string | undefined;
  readonly closed: Promise<{ readonly code: number; readonly reason: string }>;
  readonly #socket: WebSocket;
  readonly #frames: Frame[] = [];
  readonly #wakes: (() => void)[] = [];

  constructor(socket: WebSocket, authorization: string | undefined) {
    this.#socket = socket;
    this.authorization = authorization;
    this.closed = new Promise((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: String(reason) }));
    });
    socket.on('error', () => {});
    socket.on('message', (data: Buffer) => {
      const frame = parseFrame(data);
      if ('error' in frame) throw new Error(frame.error);
      if (frame.value.type === messageTypes.Ping.code) {
        this.send(messageTypes.Pong.code, 0, frame.value.id, frame.value.payload);
        return;
      }
      this.#frames.push(frame.value);
      for (const wake of this.#wakes.splice(0)) wake();
    });
  }

  /** The next frame of the client's; the test fails when it is of another type. */
  async next(type: { readonly code: number }): Promise<Frame> {
    for (;;) {
      const frame = this.#frames.shift();
      if (frame !== undefined) {
        if (frame.type !== type.code)
          throw new Error(`expected 0x${type.code.toString(16)}, got 0x${frame.type.toString(16)}`);
        return frame;
      }
      const arrival = new Promise<void>((resolve) => this.#wakes.push(resolve));
      await within(arrival, () => `a frame 0x${type.code.toString(16)}, and none came`);
    }
  }

  /** Frames that came and nobody has asked for. */
  get unread(): readonly Frame[] {
    return this.#frames;
  }

  send(type: number, channel: number, id: number, payload: Uint8Array = noPayload): void {
    this.#socket.send(encodeFrame({ type, channel, id, payload }));
  }

  ack(channel: number, payload: Uint8Array, id = 0): void {
    this.send(messageTypes.Ack.code, channel, id, payload);
  }

  output(channel: number, text: string | Uint8Array): void {
    this.send(messageTypes.Output.code, channel, 0, typeof text === 'string' ? Buffer.from(text) : text);
  }

  credit(channel: number, bytes: number): void {
    this.send(messageTypes.Credit.code, channel, 0, encodeCredit(bytes));
  }

  error(channel: number, code: Parameters<typeof encodeError>[0]['code'], id = 0): void {
    this.send(messageTypes.Error.code, channel, id, encodeError({ code, message: `it is ${code}` }));
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  close(code: number, reason = ''): void {
    this.#socket.close(code, reason);
  }

  /** Nothing is read or answered any more, and nothing says so. */
  freeze(): void {
    this.#socket.pause();
  }

  /** As a cable that is pulled: no goodbye. */
  cut(): void {
    this.#socket.terminate();
  }
}

export const readyDefault: Ready = {
  sandbox: 's',
  lease: { remainingMs: 300_000, ttlMs: 300_000, endOfLifeMs: 86_400_000 },
  window: 1_000,
  inputWindow: 100,
  channelsMax: 4,
  frameBytesMax: 65_536,
  pingMs: 10_000,
};
