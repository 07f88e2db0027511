import type {
  HttpRequest,
  HttpResponse,
  us_listen_socket,
  us_socket_context_t,
  WebSocket,
} from 'uWebSockets.js';
import { createRequire } from 'node:module';
import {
  cannotListen,
  type DataServer,
  type DataTls,
  type ListenOptions,
  noSuchPath,
  pendingConnectionsMax,
} from './data-server.ts';
import { httpAnswer, type Refusal, refusal } from './refusal.ts';
import type { Admission, SocketDoor } from './socket-door.ts';
import { isUpgrade, parseUpgrade } from './upgrade-headers.ts';
import { type UwsConnection, UwsSocket, type UwsSocketDeps, type UwsUserData } from './uws-socket.ts';

export type Uws = typeof import('uWebSockets.js');

/**
 * The addon, or in a sentence why there is none: it is built for some platforms and versions of Node.js only, and a
 * repackaging of it may come with a substitute in JavaScript, which is not what its speed was measured with.
 */
export function loadUws(): Uws | string {
  try {
    const uws = createRequire(import.meta.url)('uWebSockets.js') as Uws;
    const isNative = Function.prototype.toString.call(uws.App).includes('[native code]');
    return isNative ? uws : 'the package came without its native addon';
  } catch (error) {
    return error instanceof Error ? error.message.replace(/\s+/g, ' ') : String(error);
  }
}

/**
 * The data port by uWebSockets.js. Its HTTP side cuts a connection without a whole request by a clock of its own (10 s,
 * in steps of 4), which cannot be set; how many of them there may be is bounded here.
 */
export async function startUwsDataServer(
  uws: Uws,
  door: SocketDoor,
  deps: UwsSocketDeps,
  options: UwsOptions,
): Promise<DataServer> {
  const { listen, messageBytesMax, tls } = options;
  const app = tls ? uws.SSLApp(filesOf(tls)) : uws.App();
  const untyped = app as unknown as UntypedApp;
  const pending = new PendingConnections(untyped);
  app.ws<UwsUserData>('/*', {
    compression: uws.DISABLED,
    // One over the limit is told so by a close frame (1009); one far over it is cut, so that it is not collected first.
    maxPayloadLength: messageBytesMax * 2,
    // What is queued is bounded by UwsSocket before it is sent; this stands behind it.
    maxBackpressure: deps.queues.socketBytesMax * 2,
    closeOnBackpressureLimit: 1,
    // Pings are sent by Heartbeat. This frees a connection that was closed but whose client reads no more.
    sendPingsAutomatically: false,
    idleTimeout: idleTimeoutSeconds,
    maxLifetime: 0,
    upgrade: (response, request, context) => upgrade({ door, pending, deps }, response, request, context),
    open: (ws) => {
      ws.getUserData().connection.ws = ws;
    },
    message: (ws, message, isBinary) => socketOf(ws)?.onMessage(message, isBinary),
    drain: (ws) => socketOf(ws)?.onDrain(),
    pong: (ws) => socketOf(ws)?.onPong(),
    ping: (ws) => socketOf(ws)?.onPong(),
    close: (ws, code) => {
      ws.getUserData().connection.ws = null;
      socketOf(ws)?.onClosed(code);
    },
  });
  app.any('/*', (response) => {
    respond(response, refusal(noSuchPath.status, noSuchPath.code, noSuchPath.message));
  });
  const listening = await new Promise<us_listen_socket | false>((resolve) => {
    untyped.listen(listen.host, listen.port, options.sharesPort ? sharedPort : exclusivePort, resolve);
  });
  if (listening === false) {
    app.close();
    throw cannotListen(listen, 'the address cannot be used, or the port is already in use');
  }
  let isListening = true;
  const stopListening = () => {
    if (isListening) uws.us_listen_socket_close(listening);
    isListening = false;
  };
  return {
    address: { host: listen.host, port: uws.us_socket_local_port(listening) },
    stopListening,
    async [Symbol.asyncDispose]() {
      stopListening();
      app.close();
    },
  };
}

export interface UwsOptions {
  readonly listen: ListenOptions;
  readonly tls?: DataTls | null;
  /** The largest of all routes. */
  readonly messageBytesMax: number;
  /** Other processes listen on it as well (SO_REUSEPORT). */
  readonly sharesPort?: boolean;
}

function filesOf({ certFile, keyFile }: DataTls) {
  return { cert_file_name: certFile, key_file_name: keyFile };
}

function upgrade(
  { door, pending, deps }: UpgradeDeps,
  response: HttpResponse,
  request: HttpRequest,
  context: us_socket_context_t,
): void {
  let isAborted = false;
  response.onAborted(() => {
    isAborted = true;
  });
  // Everything of the request is read now: it is gone when this returns.
  const header = (name: string) => request.getHeader(name) || undefined;
  const key = request.getHeader('sec-websocket-key');
  const query = request.getQuery();
  if (!isUpgrade({ method: request.getMethod(), header })) {
    respond(response, refusal(400, 'INVALID_REQUEST', 'not a WebSocket upgrade (RFC 6455, version 13)'));
    return;
  }
  const parsed = parseUpgrade({
    url: query ? `${request.getUrl()}?${query}` : request.getUrl(),
    header,
    remoteAddress: Buffer.from(response.getRemoteAddressAsText()).toString(),
  });
  void door.admit(parsed).then((answer) => {
    if (isAborted) {
      if (answer.kind === 'admitted') answer.abandon();
    } else if (answer.kind === 'refused') {
      response.cork(() => respond(response, answer));
    } else {
      pending.upgraded();
      accept({ response, key, context }, answer, deps);
    }
  });
}

interface UpgradeDeps {
  readonly door: SocketDoor;
  readonly pending: PendingConnections;
  readonly deps: UwsSocketDeps;
}

/**
 * The session begins behind the cork and not in the addon's `open`: when the cork ends, the addon still reads a flag of the
 * request, whose memory the upgrade has let go of, and closes the connection if it is set. So nothing may take up memory
 * in between.
 */
function accept(
  request: { readonly response: HttpResponse; readonly key: string; readonly context: us_socket_context_t },
  admission: Admission,
  deps: UwsSocketDeps,
): void {
  const connection: UwsConnection = { ws: null, socket: null };
  const { response, key, context } = request;
  response.cork(() => response.upgrade({ connection }, key, admission.subprotocol ?? '', '', context));
  if (connection.ws === null) admission.abandon();
  else connection.socket = new UwsSocket(connection.ws, admission, deps);
}

function socketOf(ws: WebSocket<UwsUserData>): UwsSocket | null {
  return ws.getUserData().connection.socket;
}

function respond(response: HttpResponse, refused: Refusal): void {
  const answer = httpAnswer(refused);
  response.writeStatus(answer.statusLine);
  for (const [name, value] of answer.headers) response.writeHeader(name, value);
  response.writeHeader('Connection', 'close');
  response.end(answer.body, true);
}

/** What the addon has and the package's types leave out. */
interface UntypedApp {
  /** Told of each connection (1), and of the end of those that have not upgraded (-1). */
  filter(each: (response: HttpResponse, change: number) => void): void;
  listen(
    host: string,
    port: number,
    options: number,
    listening: (socket: us_listen_socket | false) => void,
  ): void;
}

/** Bounds the connections that have said nothing yet, or not enough. */
class PendingConnections {
  #count = 0;

  constructor(app: UntypedApp) {
    const changed = (response: HttpResponse, change: number) => {
      this.#count += change;
      if (change > 0 && this.#count > pendingConnectionsMax) response.close();
    };
    app.filter(changed);
  }

  /** One of them has become a socket; the addon does not tell. */
  upgraded(): void {
    this.#count -= 1;
  }
}

/** Without it two services could listen on one port, and each would get some of the connections. */
const exclusivePort = 1;
const sharedPort = 0;
/** Longer than two pings with their pauses: Heartbeat comes first for every socket that is open. */
const idleTimeoutSeconds = 60;
