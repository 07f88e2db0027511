import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { pause } from '../domain/clock.ts';
import { type HttpAnswer, httpAnswer, refusal } from './refusal.ts';
import type { Admission, SocketDoor } from './socket-door.ts';
import type { UpgradeRequest } from './socket-route.ts';
import { isUpgrade, parseUpgrade } from './upgrade-headers.ts';
import { WsSocket, type WsSocketDeps } from './ws-socket.ts';

/**
 * Upgrades of Node's HTTP server, by the package `ws` without a server of its own. Hand every `upgrade` event to
 * `handle`. Refusals are answered as HTTP before any upgrade, and the connection is closed behind them.
 */
export class WsUpgrades {
  readonly #door: SocketDoor;
  readonly #deps: WsSocketDeps;
  /** By the largest message: `ws` takes that as an option of its server. There are as many as routes have limits. */
  readonly #servers = new Map<number, WebSocketServer>();
  readonly #chosen = new WeakMap<IncomingMessage, string | null>();
  /** Node's server forgets a connection that asked for an upgrade; so that none outlives it, they are kept here. */
  readonly #connections = new Set<Duplex>();

  constructor(door: SocketDoor, deps: WsSocketDeps) {
    this.#door = door;
    this.#deps = deps;
  }

  handle(request: IncomingMessage, raw: Duplex, head: Buffer): void {
    // Before anything else: a connection that breaks while it is being judged must not end the process.
    raw.on('error', () => {});
    this.#connections.add(raw);
    raw.on('close', () => this.#connections.delete(raw));
    this.#handle(request, raw, head).catch(() => raw.destroy());
  }

  /** Waits a moment for connections on which a close was sent, then ends them. */
  async finish(): Promise<void> {
    const open = [...this.#connections].map((raw) => new Promise((resolve) => raw.once('close', resolve)));
    const over = new AbortController();
    await Promise.race([Promise.all(open), pause(this.#deps.clock, lastBytesMs, over.signal)]);
    over.abort();
    for (const raw of this.#connections) raw.destroy();
  }

  async #handle(request: IncomingMessage, raw: Duplex, head: Buffer): Promise<void> {
    const parsed = upgradeOf(request);
    if (parsed === null) {
      respond(raw, notAnUpgrade);
      return;
    }
    const answer = await this.#door.admit(parsed);
    if (answer.kind === 'refused') respond(raw, httpAnswer(answer));
    else if (raw.destroyed || !raw.readable) {
      answer.abandon();
      raw.destroy();
    } else this.#upgrade(answer, request, raw, head);
  }

  #upgrade(admission: Admission, request: IncomingMessage, raw: Duplex, head: Buffer): void {
    this.#chosen.set(request, admission.subprotocol);
    let isUpgraded = false;
    this.#serverFor(admission.messageBytesMax).handleUpgrade(request, raw, head, (ws) => {
      isUpgraded = true;
      new WsSocket(ws, raw, admission, this.#deps);
    });
    // `ws` has answered by itself that it is no upgrade after all; it does so at once.
    if (!isUpgraded) admission.abandon();
  }

  #serverFor(messageBytesMax: number): WebSocketServer {
    const known = this.#servers.get(messageBytesMax);
    if (known) return known;
    const server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: messageBytesMax,
      handleProtocols: (_offered, request) => this.#chosen.get(request) ?? false,
    });
    this.#servers.set(messageBytesMax, server);
    return server;
  }
}

/** Enough for a client that is there to answer the close frame. */
const lastBytesMs = 250;

function upgradeOf(request: IncomingMessage): UpgradeRequest | null {
  const { headers } = request;
  const header = (name: string): string | undefined => {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
  };
  if (!isUpgrade({ method: request.method ?? '', header })) return null;
  return parseUpgrade({
    url: request.url ?? '/',
    header,
    remoteAddress: request.socket.remoteAddress ?? '',
  });
}

function respond(raw: Duplex, answer: HttpAnswer): void {
  if (raw.destroyed) return;
  const body = Buffer.from(answer.body);
  const lines = [
    `HTTP/1.1 ${answer.statusLine}`,
    ...answer.headers.map(([name, value]) => `${name}: ${value}`),
    `Content-Length: ${body.length}`,
    'Connection: close',
  ];
  raw.once('finish', () => raw.destroy());
  raw.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`), body]));
}

const notAnUpgrade = httpAnswer(
  refusal(400, 'INVALID_REQUEST', `not a WebSocket upgrade (RFC 6455, version 13): ${STATUS_CODES[400]}`),
);
