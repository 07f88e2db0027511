import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContextOptions, TlsOptions } from 'node:tls';
import { type WebSocket, WebSocketServer } from 'ws';
import { encodeFrame, type Frame, parseFrame } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encodeReady } from '../../protocol/session-messages.ts';

/** A data port that does what a test says: for what a real node does only when something is wrong. */
export class ScriptedNode implements AsyncDisposable {
  readonly url: string;
  readonly sockets: WebSocket[] = [];
  readonly tokens: string[] = [];
  readonly frames: Frame[] = [];
  /** null: upgrades; otherwise what it answers instead. */
  refusal: { readonly status: number; readonly body: string } | null = null;
  /** What it does with the next socket in place of Ready. */
  onSocket: ((socket: WebSocket) => void) | null = null;
  onFrame: (frame: Frame, socket: WebSocket) => void = () => {};
  pingMs = 15_000;
  channelsMax = 4;
  /** Whether what it sends at once arrives together with its answer to the upgrade. */
  corked = false;
  readonly #server: Server;
  readonly #upgrades = new WebSocketServer({ noServer: true, perMessageDeflate: false });

  static async start(tls?: SecureContextOptions & TlsOptions): Promise<ScriptedNode> {
    const server = tls ? createTlsServer(tls) : createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new ScriptedNode(server, tls ? 'wss://localhost' : 'ws://127.0.0.1');
  }

  private constructor(server: Server, origin: string) {
    this.#server = server;
    this.url = `${origin}:${(server.address() as AddressInfo).port}`;
    server.on('upgrade', (request, socket, head) => this.#upgrade(request, socket, head));
  }

  send(socket: WebSocket, frame: Frame): void {
    socket.send(encodeFrame(frame));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', () => {});
    this.tokens.push(request.headers.authorization ?? '');
    if (this.refusal) {
      const { status, body } = this.refusal;
      socket.end(
        `HTTP/1.1 ${status} No\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
      return;
    }
    if (this.corked) socket.cork();
    this.#upgrades.handleUpgrade(request, socket, head, (webSocket) => {
      this.sockets.push(webSocket);
      webSocket.on('error', () => {});
      webSocket.on('message', (data: Buffer) => this.#message(data, webSocket));
      const script = this.onSocket;
      this.onSocket = null;
      if (script) script(webSocket);
      else this.ready(webSocket);
      if (this.corked) process.nextTick(() => socket.uncork());
    });
  }

  ready(socket: WebSocket): void {
    const payload = encodeReady({
      sandbox: '07aaaaaaaaaaaaaaaaaa',
      lease: { remainingMs: 60_000, ttlMs: 60_000, endOfLifeMs: 60_000 },
      window: 262_144,
      inputWindow: 262_144,
      channelsMax: this.channelsMax,
      frameBytesMax: 65_536,
      pingMs: this.pingMs,
    });
    this.send(socket, { type: messageTypes.Ready.code, channel: 0, id: 0, payload });
  }

  #message(data: Buffer, socket: WebSocket): void {
    const frame = parseFrame(new Uint8Array(data));
    if ('error' in frame) throw new Error(frame.error);
    this.frames.push(frame.value);
    this.onFrame(frame.value, socket);
  }
}
