import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { closeCodes } from '../../../protocol/close-codes.ts';
import { xgenMessageBytesMax } from '../../../protocol/xgen-messages.ts';
import type { AllocatorApi, SandboxSession, SessionGrant } from '../../allocator/api.ts';
import type { XgenCaller } from '../../auth/xgen-tokens.ts';
import { type Clock, pause } from '../../domain/clock.ts';
import { isWarmpoolError } from '../../domain/errors.ts';
import type { Log } from '../../observability/log.ts';
import { ConnectionLimits } from '../connection-limits.ts';
import type { DataPlaneObserver } from '../observer.ts';
import type { ClientAddresses } from './client-addresses.ts';
import { type RateLimit, xgenClientOf } from './rate-limit.ts';
import { openWhenReady } from './xgen-admission.ts';
import type { XgenCredentials } from './xgen-credentials.ts';
import {
  forbidden,
  tooManyRequests,
  unexpectedFailure,
  XgenFailure,
  type XgenVersion,
  xgenErrorBody,
  xgenFailureOf,
} from './xgen-failure.ts';
import { hasAbsoluteLifetime } from './xgen-lifetime.ts';
import type { XgenCallerName, XgenObserver } from './xgen-observer.ts';
import { XgenProcessIds } from './xgen-process-ids.ts';
import { XgenSession } from './xgen-session.ts';
import { XgenWebSocket } from './xgen-web-socket.ts';

export interface XgenRouteDeps {
  readonly allocator: Pick<AllocatorApi, 'openSession'>;
  readonly credentials: XgenCredentials;
  readonly rateLimit: RateLimit;
  readonly clock: Clock;
  readonly observer: Pick<DataPlaneObserver, 'upgradeAnswered' | 'connectionOpened' | 'connectionClosed'>;
  readonly xgenObserver: XgenObserver;
  readonly addresses: Pick<ClientAddresses, 'of'>;
  readonly log: Log;
}

/** The address of a sandbox's socket, taken apart. */
export interface XgenAddress {
  readonly version: XgenVersion;
  readonly sandboxId: string;
  /** `?token=`, never logged. */
  readonly token: string | null;
}

/** `/api/v1/sandboxes/{id}/ws`, also v2 and also below `/xgen`; null for any other. */
export function parseXgenAddress(url: string): XgenAddress | null {
  const [path = '', query = ''] = url.split('?', 2);
  const match = /^(?:\/xgen)?\/api\/(v1|v2)\/sandboxes\/([^/]+)\/ws\/?$/.exec(path);
  if (match === null) return null;
  const version = match[1] === 'v2' ? 'v2' : 'v1';
  return { version, sandboxId: match[2] ?? '', token: new URLSearchParams(query).get('token') };
}

/**
 * Takes the upgrades of published xgen clients. Whatever can go wrong before the socket is theirs is an answer of HTTP in
 * their envelope; the sandbox is ready before they are told that the socket is open. Owns the open sessions.
 */
export class XgenRoute implements AsyncDisposable {
  readonly #deps: XgenRouteDeps;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: xgenMessageBytesMax,
    // Text is refused as such, whatever is in it.
    skipUTF8Validation: true,
    // Which clients of this dialect do not offer; whoever does has come to another session.
    handleProtocols: () => false,
  });
  readonly #limits = new ConnectionLimits();
  readonly #sessions = new Set<XgenSession>();
  readonly #processIds = new XgenProcessIds();
  readonly #closing = new AbortController();

  constructor(deps: XgenRouteDeps) {
    this.#deps = deps;
    this.#sockets.on('headers', (headers) => headers.push(`X-Request-Id: ${randomUUID()}`));
  }

  /** How many connections are open. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Never rejects: the connection gets its session, or its refusal. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, address: XgenAddress): Promise<void> {
    // Before anything else: a connection that breaks while it is being judged must not end the process.
    socket.on('error', () => {});
    const startedMs = performance.now();
    const remoteAddress = this.#deps.addresses.of(request);
    const call: UpgradeCall = { caller: null };
    const answered = (status: number, failure: XgenFailure | null) =>
      this.#deps.xgenObserver.answered({
        version: address.version,
        method: 'GET',
        path: `/api/${address.version}/sandboxes/{id}/ws`,
        status,
        seconds: (performance.now() - startedMs) / 1_000,
        caller: call.caller,
        remoteAddress,
        sandboxId: address.sandboxId,
        failure,
      });
    const leaving: (() => void)[] = [];
    try {
      const grant = this.#authorize(request, address, remoteAddress, call);
      leaving.push(this.#enter(address.sandboxId));
      const session = await openWhenReady(this.#deps, grant, address.sandboxId, this.#givenUp(socket));
      leaving.push(() => session.close());
      if (socket.destroyed) throw new XgenFailure('INTERNAL', 'the client has gone');
      let isUpgraded = false;
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        isUpgraded = true;
        answered(101, null);
        this.#accept(new XgenWebSocket(webSocket, this.#deps.clock), session, grant, leaving[0]);
      });
      // `ws` has answered by itself that it is no upgrade after all; it does so at once.
      if (!isUpgraded) for (const leave of leaving) leave();
    } catch (error) {
      for (const leave of leaving) leave();
      this.#deps.observer.upgradeAnswered(socket.destroyed ? 'abandoned' : 'refused');
      const failure = this.#failureOf(error, address);
      answered(failure.status, failure);
      this.#answer(socket, address, failure);
    }
  }

  /** New connections are refused; those that run nothing end now, the others within `graceMs`. */
  async drain(graceMs: number): Promise<void> {
    this.#closing.abort();
    const sessions = [...this.#sessions];
    for (const session of sessions) session.drain();
    const over = new AbortController();
    const settled = Promise.all(sessions.map((session) => session.settled));
    await Promise.race([settled, pause(this.#deps.clock, graceMs, over.signal)]);
    over.abort();
    for (const session of sessions) session.close(closeCodes.goingAway, 'the service stops');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain(0);
    this.#sockets.close();
  }

  #authorize(
    request: IncomingMessage,
    { token, sandboxId }: XgenAddress,
    remoteAddress: string,
    call: UpgradeCall,
  ): SessionGrant {
    if (this.#closing.signal.aborted) throw new XgenFailure('SIDECAR_UNREACHABLE', 'the service stops');
    const client = `address ${remoteAddress}`;
    let grant: XgenCaller | SessionGrant;
    try {
      grant = this.#deps.credentials.ofUpgrade(request.headers.authorization, token);
    } catch (error) {
      this.#count(client);
      throw error;
    }
    call.caller = 'subject' in grant ? grant : { tenant: grant.tenant, subject: 'data-token', role: 'user' };
    this.#count('subject' in grant ? xgenClientOf(grant, client) : `sandbox ${sandboxId}`);
    if (!grant.scopes.has('exec')) throw forbidden('sandbox:exec');
    return grant;
  }

  #count(client: string): void {
    const retryAfterMs = this.#deps.rateLimit.enter(client);
    if (retryAfterMs !== undefined) throw tooManyRequests(retryAfterMs);
  }

  /** A place among the connections; gives back how to leave it. */
  #enter(sandboxId: string): () => void {
    const place = this.#limits.enter(sandboxId);
    if ('leave' in place) return place.leave;
    throw new XgenFailure('QUOTA_EXCEEDED', 'too many connections', { retry_after_ms: 1_000 });
  }

  /** Aborts when the client goes away before its answer, or the service stops. */
  #givenUp(socket: Duplex): AbortSignal {
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    return AbortSignal.any([gone.signal, this.#closing.signal]);
  }

  #accept(socket: XgenWebSocket, sandbox: SandboxSession, grant: SessionGrant, leave = () => {}): void {
    const { log, observer, xgenObserver } = this.#deps;
    observer.upgradeAnswered('accepted');
    observer.connectionOpened();
    const session = new XgenSession(
      { socket, sandbox, processIds: this.#processIds, xgenObserver, log },
      { mayUseFiles: grant.scopes.has('files'), useExtendsLease: !hasAbsoluteLifetime(sandbox.record) },
    );
    this.#sessions.add(session);
    socket.listen({
      onMessage: (message) => session.onMessage(message),
      onText: () => session.onText(),
      onClose: (code) => {
        observer.connectionClosed(code);
        session.onClose();
        leave();
      },
    });
    void session.settled.then(() => this.#sessions.delete(session));
    if (this.#closing.signal.aborted) session.drain();
  }

  #failureOf(error: unknown, { sandboxId, version }: XgenAddress): XgenFailure {
    if (error instanceof XgenFailure) return error;
    if (isWarmpoolError(error)) return xgenFailureOf(error, version, sandboxId);
    this.#deps.log.error({ err: error }, 'xgen: an upgrade failed');
    return unexpectedFailure();
  }

  #answer(socket: Duplex, { version }: XgenAddress, failure: XgenFailure): void {
    if (socket.destroyed || !socket.writable) return;
    const requestId = randomUUID();
    const retryAfterMs = failure.details?.retry_after_ms;
    const body = JSON.stringify(xgenErrorBody(failure, version, requestId));
    const head = [
      `HTTP/1.1 ${failure.status} ${STATUS_CODES[failure.status] ?? ''}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Access-Control-Allow-Origin: *',
      ...(typeof retryAfterMs === 'number' ? [`Retry-After: ${Math.ceil(retryAfterMs / 1_000)}`] : []),
      'Connection: close',
    ];
    socket.once('finish', () => socket.destroy());
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  }
}

/** What is known of an upgrade so far, for whoever hears how it was answered. */
interface UpgradeCall {
  caller: XgenCallerName | null;
}
