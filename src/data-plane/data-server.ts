/** What listens on the data port. */
export interface DataServer extends AsyncDisposable {
  /** Where it really listens: the port is the chosen one when 0 was asked for. */
  readonly address: { readonly host: string; readonly port: number };
  /** New connections are refused; open ones go on. */
  stopListening(): void;
}

export interface ListenOptions {
  readonly host: string;
  readonly port: number;
}

/** Files in PEM. */
export interface DataTls {
  readonly certFile: string;
  readonly keyFile: string;
}

export function cannotListen(listen: ListenOptions, why: string, cause?: unknown): Error {
  return new Error(
    `cannot listen on ${listen.host}:${listen.port} for data (WARMPOOL_DATA_LISTEN): ${why}`,
    cause === undefined ? undefined : { cause },
  );
}

/** RFC 6455 asks for a whole handshake; a connection that says nothing is cut (section 9). */
export const upgradeTimeoutMs = 5_000;
/** Connections that have not upgraded, beside the sockets themselves: more are refused before they say anything. */
export const pendingConnectionsMax = 1_024;
/** On a port that serves nothing else. */
export const noSuchPath = { status: 404, code: 'NOT_FOUND', message: 'only WebSockets are served here' };
