import { randomUUID } from 'node:crypto';
import { request as httpRequest, type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream';
import { ResponderError } from '../../../protocol/channel-opener.ts';
import type { SandboxSession, SessionGrant } from '../../allocator/api.ts';
import type { ClientAddresses } from '../../data-plane/xgen/client-addresses.ts';
import { openWhenReady, type XgenAdmissionDeps } from '../../data-plane/xgen/xgen-admission.ts';
import type { XgenCredentials } from '../../data-plane/xgen/xgen-credentials.ts';
import { XgenFailure, xgenErrorBody, xgenFailureOf } from '../../data-plane/xgen/xgen-failure.ts';
import { hasAbsoluteLifetime } from '../../data-plane/xgen/xgen-lifetime.ts';
import { isWarmpoolError } from '../../domain/errors.ts';
import { isSandboxId } from '../../domain/ids.ts';
import type { Log } from '../../observability/log.ts';
import { connectPort } from '../../operations/ports.ts';
import { PortStream } from './port-stream.ts';
import { isHttpsDomain, type PreviewAddress, parsePreviewHost } from './preview-address.ts';
import { type PreviewCaller, previewCaller, previewCookie } from './preview-credential.ts';

export interface PreviewProxyDeps extends XgenAdmissionDeps {
  readonly credentials: XgenCredentials;
  /** Whose a sandbox is; null for one that nobody has. */
  readonly ownerOf: (sandboxId: string) => Promise<string | null>;
  readonly addresses: ClientAddresses;
  readonly log: Log;
}

export interface PreviewProxyOptions {
  readonly domain: string;
  /** `public`: whoever knows the address may use it, as in the published service. */
  readonly auth: 'required' | 'public';
}

/**
 * Shows ports of sandboxes under host names of their own: requests and upgrades for `sbx-{id}-{port}.{domain}` go to what
 * listens there, over one tunnel each. Our own credentials are taken out on the way.
 */
export class PreviewProxy {
  readonly #deps: PreviewProxyDeps;
  readonly #options: PreviewProxyOptions;

  constructor(deps: PreviewProxyDeps, options: PreviewProxyOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** False: the request is not for a preview, and was not touched. */
  handle(request: IncomingMessage, response: ServerResponse): boolean {
    const address = parsePreviewHost(request.headers.host, this.#options.domain);
    if (address === null) return false;
    this.#forward(request, response, address).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else this.#refuse(response, this.#failureOf(error, address));
    });
    return true;
  }

  /** The same for an upgrade. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): boolean {
    const address = parsePreviewHost(request.headers.host, this.#options.domain);
    if (address === null) return false;
    socket.on('error', () => {});
    this.#tunnel(request, socket, head, address).catch((error: unknown) => {
      const failure = this.#failureOf(error, address);
      const requestId = randomUUID();
      const body = JSON.stringify(xgenErrorBody(failure, 'v1', requestId));
      const status = `${failure.status} ${STATUS_CODES[failure.status] ?? ''}`;
      const lines = [
        'Content-Type: application/json',
        `Content-Length: ${Buffer.byteLength(body)}`,
        `X-Request-Id: ${requestId}`,
      ];
      socket.end(`HTTP/1.1 ${status}\r\n${lines.join('\r\n')}\r\nConnection: close\r\n\r\n${body}`);
    });
    return true;
  }

  async #forward(request: IncomingMessage, response: ServerResponse, address: PreviewAddress): Promise<void> {
    const caller = this.#callerOf(request);
    if (caller.cookie !== null) {
      const cookie = previewCookie(caller.cookie, isHttpsDomain(this.#options.domain));
      response.writeHead(302, { location: caller.path, 'set-cookie': cookie, 'x-request-id': randomUUID() });
      response.end();
      return;
    }
    const gone = new AbortController();
    response.once('close', () => gone.abort());
    const { stream, session } = await this.#connect(caller, address, gone.signal);
    response.once('close', () => {
      stream.destroy();
      session.close();
    });
    const headers = [...caller.headers, ...this.#forwarded(request)].flat();
    const outgoing = httpRequest({
      createConnection: () => stream,
      method: request.method ?? 'GET',
      path: caller.path,
      headers,
      setHost: false,
    });
    outgoing.once('response', (answer) => {
      const own = 'x-request-id' in answer.headers ? [] : ['X-Request-Id', randomUUID()];
      const headers = [...endToEnd(answer.rawHeaders), ...own];
      response.writeHead(answer.statusCode ?? 502, answer.statusMessage, headers);
      pipeline(answer, response, () => {});
    });
    outgoing.once('error', () => {
      if (response.headersSent) response.destroy();
      else this.#refuse(response, unavailable(address));
    });
    pipeline(request, outgoing, () => {});
  }

  async #tunnel(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    address: PreviewAddress,
  ): Promise<void> {
    const caller = this.#callerOf(request);
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    const { stream, session } = await this.#connect(caller, address, gone.signal);
    const lines = [...caller.headers, ...this.#forwarded(request)].map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    stream.write(`${request.method} ${caller.path} HTTP/1.1\r\n${lines.join('')}\r\n`);
    if (head.length > 0) stream.write(head);
    pipeline(stream, socket, () => {});
    pipeline(socket, stream, () => session.close());
  }

  async #connect(
    { grant }: PreviewCaller,
    address: PreviewAddress,
    signal: AbortSignal,
  ): Promise<{ readonly stream: PortStream; readonly session: SandboxSession }> {
    if (address.kind === 'unknown') throw new XgenFailure('ROUTE_NOT_FOUND', 'there is nothing at this host');
    if (address.kind === 'bad_port') {
      throw new XgenFailure('INVALID_PARAMETER', 'port is invalid', {
        field: 'port',
        value: address.port,
        min: 1,
        max: 65_535,
      });
    }
    const { sandboxId } = address;
    const user = grant ?? (await this.#ownGrant(sandboxId));
    const session = await openWhenReady(this.#deps, user, sandboxId, signal).catch((error: unknown) => {
      throw grant === null ? strangersFailure(error, sandboxId) : error;
    });
    try {
      if (!hasAbsoluteLifetime(session.record)) session.used();
      const connection = await connectPort(session.guest, { port: address.port }, { signal });
      return { stream: new PortStream(connection), session };
    } catch (error) {
      session.close();
      throw error instanceof ResponderError ? unavailable(address) : error;
    }
  }

  #callerOf(request: IncomingMessage): PreviewCaller {
    return previewCaller(request, this.#deps.credentials, this.#options.auth);
  }

  /** For whoever comes without a credential where none is needed: the ports of this sandbox, and nothing else. */
  async #ownGrant(sandboxId: string): Promise<SessionGrant> {
    const tenant = isSandboxId(sandboxId) ? await this.#deps.ownerOf(sandboxId) : null;
    if (tenant === null) {
      const details = { sandbox_id: sandboxId.slice(0, 64) };
      throw new XgenFailure('SANDBOX_NOT_FOUND', 'no sandbox has this id', details);
    }
    return { tenant, scopes: new Set(['ports'] as const) };
  }

  #forwarded(request: IncomingMessage): [string, string][] {
    const peer = request.socket.remoteAddress ?? '';
    const proxied = this.#deps.addresses.isProxy(peer) && request.headers['x-forwarded-proto'] === 'https';
    return [
      ['X-Forwarded-Host', request.headers.host ?? ''],
      ['X-Forwarded-Proto', proxied ? 'https' : 'http'],
      ['X-Forwarded-For', this.#deps.addresses.of(request)],
    ];
  }

  #refuse(response: ServerResponse, failure: XgenFailure): void {
    const requestId = randomUUID();
    response.writeHead(failure.status, { 'content-type': 'application/json', 'x-request-id': requestId });
    response.end(JSON.stringify(xgenErrorBody(failure, 'v1', requestId)));
  }

  #failureOf(error: unknown, address: PreviewAddress): XgenFailure {
    if (error instanceof XgenFailure) return error;
    const sandboxId = address.kind === 'port' ? address.sandboxId : undefined;
    if (isWarmpoolError(error)) return xgenFailureOf(error, 'v1', sandboxId);
    this.#deps.log.warn({ err: error }, 'xgen: a preview failed');
    return unavailable(address);
  }
}

function unavailable(address: PreviewAddress): XgenFailure {
  const details = address.kind === 'port' ? { sandbox_id: address.sandboxId, port: address.port } : undefined;
  return new XgenFailure('SERVICE_UNAVAILABLE', 'sandbox service unavailable', details);
}

/** Why a sandbox is not there is its owner's to know, and where it runs (I16). */
function strangersFailure(error: unknown, sandboxId: string): unknown {
  if (!isWarmpoolError(error)) return error;
  const { code } = xgenFailureOf(error, 'v1', sandboxId);
  return new XgenFailure(code, 'this sandbox cannot be reached now', { sandbox_id: sandboxId });
}

/** What belongs to one connection only is the server's own business. */
function endToEnd(rawHeaders: readonly string[]): string[] {
  const headers: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2);
    if (!hopByHop.has(name.toLowerCase())) headers.push(name, value);
  }
  return headers;
}

const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
  'trailer',
]);
