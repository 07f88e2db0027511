import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { closeCodes } from '../../../protocol/close-codes.ts';
import { xgenMessageBytesMax } from '../../../protocol/xgen-messages.ts';
import type { AllocatorApi, SandboxSession, SessionGrant } from '../../allocator/api.ts';
import type { Clock } from '../../domain/clock.ts';
import { isWarmpoolError } from '../../domain/errors.ts';
import type { Log } from '../../observability/log.ts';
import { openWhenReady } from './xgen-admission.ts';
import type { XgenCredentials } from './xgen-credentials.ts';
import { forbidden, XgenFailure, type XgenVersion, xgenErrorBody, xgenFailureOf } from './xgen-failure.ts';
import { hasAbsoluteLifetime } from './xgen-lifetime.ts';
import { XgenProcessIds } from './xgen-process-ids.ts';
import { XgenSession } from './xgen-session.ts';
import { XgenWebSocket } from './xgen-web-socket.ts';

export interface XgenRouteDeps {
  readonly allocator: Pick<AllocatorApi, 'openSession'>;
  readonly credentials: XgenCredentials;
  readonly clock: Clock;
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
  readonly #sessions = new Set<XgenSession>();
  readonly #processIds = new XgenProcessIds();
  readonly #closing = new AbortController();

  constructor(deps: XgenRouteDeps) {
    this.#deps = deps;
  }

  /** How many connections are open. */
  get size(): number {
    return this.#sessions.size;
  }

  /** Never rejects: the connection gets its session, or its refusal. */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, address: XgenAddress): Promise<void> {
    const requestId = randomUUID();
    let session: SandboxSession | undefined;
    try {
      const grant = this.#authorize(request, address);
      session = await openWhenReady(this.#deps, grant, address.sandboxId, this.#givenUp(socket));
      if (socket.destroyed) throw new XgenFailure('INTERNAL', 'the client has gone');
      const sandbox = session;
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.#accept(new XgenWebSocket(webSocket), sandbox, grant);
      });
    } catch (error) {
      session?.close();
      this.#answer(socket, address, requestId, this.#failureOf(error, address));
    }
  }

  /** Sessions are told that the service goes; what they run is ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const settled = [...this.#sessions].map((session) => {
      session.close(closeCodes.goingAway, 'the service stops');
      return session.settled;
    });
    await Promise.all(settled);
    this.#sockets.close();
  }

  #authorize(request: IncomingMessage, { token, sandboxId }: XgenAddress): SessionGrant {
    if (this.#closing.signal.aborted) throw new XgenFailure('SIDECAR_UNREACHABLE', 'the service stops');
    const grant = this.#deps.credentials.ofUpgrade(request.headers.authorization, token, sandboxId);
    if (!grant.scopes.has('exec')) throw forbidden('sandbox:exec');
    return grant;
  }

  /** Aborts when the client goes away before its answer, or the service stops. */
  #givenUp(socket: Duplex): AbortSignal {
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    return AbortSignal.any([gone.signal, this.#closing.signal]);
  }

  #accept(socket: XgenWebSocket, sandbox: SandboxSession, grant: SessionGrant): void {
    const { log } = this.#deps;
    const session = new XgenSession(
      { socket, sandbox, processIds: this.#processIds, log },
      { mayUseFiles: grant.scopes.has('files'), useExtendsLease: !hasAbsoluteLifetime(sandbox.record) },
    );
    this.#sessions.add(session);
    socket.listen(session);
    void session.settled.then(() => this.#sessions.delete(session));
    if (this.#closing.signal.aborted) session.close(closeCodes.goingAway, 'the service stops');
  }

  #failureOf(error: unknown, { sandboxId }: XgenAddress): XgenFailure {
    if (error instanceof XgenFailure) return error;
    if (isWarmpoolError(error)) return xgenFailureOf(error, sandboxId);
    this.#deps.log.error({ err: error }, 'xgen: an upgrade failed');
    return new XgenFailure('INTERNAL', 'the request could not be answered');
  }

  #answer(socket: Duplex, { version }: XgenAddress, requestId: string, failure: XgenFailure): void {
    if (socket.destroyed || !socket.writable) return;
    const body = JSON.stringify(xgenErrorBody(failure, version, requestId));
    const head = [
      `HTTP/1.1 ${failure.status} ${STATUS_CODES[failure.status] ?? ''}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      `X-Request-Id: ${requestId}`,
      'Access-Control-Allow-Origin: *',
      'Connection: close',
    ];
    socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
  }
}
