import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type ClientSocket, type Dial, subprotocol } from '../dial.ts';
import { type ConnectionErrorCode, WarmpoolClientError } from '../warmpool-client-error.ts';
import { takeRandom } from './frame-mask.ts';
import { type UpgradeAnswer, UpgradeAnswerReader, upgradeRequest } from './upgrade-answer.ts';
import { WebSocketWire } from './web-socket-wire.ts';

/** A WebSocket over a connection of Node's: it says why an upgrade was refused, and its credential travels in a header. */
export const dialNode: Dial = (target, events, signal) =>
  new Promise<ClientSocket>((resolve, reject) => {
    signal.throwIfAborted();
    const url = new URL(target.url);
    const key = takeRandom(keyBytes).toString('base64');
    const { credential } = target;
    const request = upgradeRequest(url, { key, subprotocol, credential });
    const reader = new UpgradeAnswerReader({ key, subprotocol });
    let wire: WebSocketWire | null = null;

    const settle = (answer: UpgradeAnswer) => {
      signal.removeEventListener('abort', abort);
      if (answer.kind === 'upgraded') {
        const opened = new WebSocketWire(connection, events);
        wire = opened;
        resolve(opened);
        // Behind whoever waits for the socket, and before anything else is read: what came along may have to be answered.
        queueMicrotask(() => opened.read(answer.rest));
        return;
      }
      reject(answer.kind === 'refused' ? refusalOf(answer, url) : unreachable(url, `: ${answer.sentence}`));
      connection.destroy();
    };
    const connection = openConnection(url, (bytes) => {
      if (wire !== null) {
        wire.read(bytes);
        return;
      }
      const answer = reader.push(bytes);
      if (answer !== null) settle(answer);
    });
    const abort = () => {
      reject(signal.reason);
      connection.destroy();
    };
    signal.addEventListener('abort', abort, { once: true });
    // An error is always followed by `close`; before the opening its reason is what the caller wants to know.
    connection.on('error', (cause) => {
      const failure = 'code' in cause ? ` (${String(cause.code)})` : `: ${cause.message}`;
      reject(unreachable(url, failure, cause));
    });
    connection.on('close', () => {
      if (wire === null) settle(reader.end());
      else wire.lost();
    });
    connection.write(request, 'latin1');
  });

/** The bytes that `onBytes` gets are its own only until it returns. */
function openConnection(url: URL, onBytes: (bytes: Uint8Array) => void): Socket {
  const isTls = url.protocol === 'wss:' || url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const port = url.port === '' ? (isTls ? 443 : 80) : Number(url.port);
  if (isTls) {
    const servername = isIP(host) === 0 ? host : '';
    return connectTls({ host, port, servername, ALPNProtocols: ['http/1.1'] })
      .setNoDelay(true)
      .on('data', onBytes);
  }
  readRoom ??= Buffer.allocUnsafeSlow(readBytes);
  const callback = (byteCount: number, bytes: Uint8Array) => {
    onBytes(bytes.subarray(0, byteCount));
    return true;
  };
  return connectTcp({ host, port, noDelay: true, onread: { buffer: readRoom, callback } });
}

/**
 * One for all connections: bytes are read into it and taken from it in one go, so no two of them meet in it. Larger than what Node
 * reads at a time, because a busy connection has more than one frame waiting.
 */
let readRoom: Buffer | null = null;
const readBytes = 262_144;
const keyBytes = 16;

const codeOfStatus: Readonly<Record<number, ConnectionErrorCode>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'sandbox_not_found',
  409: 'sandbox_ended',
  410: 'sandbox_ended',
  429: 'too_many_connections',
  503: 'unavailable',
};

function refusalOf(
  { status, body }: Extract<UpgradeAnswer, { kind: 'refused' }>,
  url: URL,
): WarmpoolClientError {
  const sentence = readSentence(body);
  const code = codeOfStatus[status] ?? (status >= 500 ? 'unavailable' : 'unreachable');
  const message = `the node at ${url.host} refused the connection (${status})${sentence === '' ? '' : `: ${sentence}`}`;
  return new WarmpoolClientError(code, message, { details: { status } });
}

function unreachable(url: URL, why: string, cause?: Error): WarmpoolClientError {
  // Never the path or the query: a token may be in it.
  return new WarmpoolClientError('unreachable', `no node answers at ${url.host}${why}`, { cause });
}

/** Refusals are `{"error": {"message": "…"}}`, from others `{"error": "…"}`, `{"message": "…"}`, or plain text. */
function readSentence(text: string): string {
  try {
    const { message, error } = JSON.parse(text) as { message?: unknown; error?: unknown };
    const said = message ?? (error as { message?: unknown } | undefined)?.message ?? error;
    return typeof said === 'string' ? said : '';
  } catch {
    return text.trim().split('\n')[0] ?? '';
  }
}
