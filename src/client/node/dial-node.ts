import { randomFillSync } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { type ClientSocket, type Dial, subprotocol } from '../dial.ts';
import { type ConnectionErrorCode, WarmpoolClientError } from '../warmpool-client-error.ts';

/** A WebSocket of `ws`: it says why an upgrade was refused, and its credential travels in a header. */
export const dialNode: Dial = (target, events, signal) =>
  new Promise<ClientSocket>((resolve, reject) => {
    signal.throwIfAborted();
    const socket = new WebSocket(target.url, subprotocol, {
      perMessageDeflate: false,
      maxPayload: messageBytesMax,
      handshakeTimeout: handshakeTimeoutMs,
      generateMask,
      headers: target.credential === undefined ? {} : { authorization: `Bearer ${target.credential}` },
    });
    let isOpen = false;
    // An error is always followed by `close`; before the opening its reason is what the caller wants to know.
    socket.on('error', (cause) => {
      const failure = 'code' in cause ? ` (${String(cause.code)})` : `: ${cause.message}`;
      reject(
        new WarmpoolClientError('unreachable', `no node answers at ${place(target.url)}${failure}`, {
          cause,
        }),
      );
    });
    socket.on('unexpected-response', (request, response) => {
      void readRefusal(response, target.url).then((refusal) => {
        reject(refusal);
        request.destroy();
      });
    });
    const abort = () => {
      reject(signal.reason);
      socket.terminate();
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.on('open', () => {
      signal.removeEventListener('abort', abort);
      isOpen = true;
      resolve({
        send: (message) => socket.send(message),
        close: (code, reason) => closeSoon(socket, code, reason),
        abort: () => socket.terminate(),
      });
    });
    socket.on('message', (data, isBinary) => {
      if (data instanceof Uint8Array) events.onMessage(isBinary ? data : data.toString());
    });
    socket.on('close', (code, reason) => {
      signal.removeEventListener('abort', abort);
      if (isOpen) events.onClose(code, reason.toString());
    });
  });

/**
 * Never zero: the library sends what it need not mask from where it lies, and those bytes may be used again. Random bytes are
 * asked for in advance: each time anew they cost 2.5 µs a message, from this store 0.15.
 */
function generateMask(mask: Buffer): void {
  if (masksAt === masks.length) {
    randomFillSync(masks);
    masksAt = 0;
  }
  masks.copy(mask, 0, masksAt, masksAt + mask.length);
  masksAt += mask.length;
  if (mask.readUInt32BE() === 0) mask[0] = 1;
}

const masks = Buffer.alloc(4_096);
let masksAt = masks.length;

/** The library waits 30 s for the other side's goodbye, and keeps the process alive for as long. */
function closeSoon(socket: WebSocket, code: number, reason: string): void {
  socket.close(code, reason);
  const timer = setTimeout(() => socket.terminate(), goodbyeMsMax);
  socket.once('close', () => clearTimeout(timer));
}

const goodbyeMsMax = 1_000;
/** A frame of the largest payload; a node that sends more breaks the protocol. */
const messageBytesMax = 65_545;
/** As long as a person waits before they look what is wrong. */
const handshakeTimeoutMs = 10_000;
/** A refusal is a sentence in JSON; nothing that is longer is read. */
const refusalBytesMax = 16_384;

const codeOfStatus: Readonly<Record<number, ConnectionErrorCode>> = {
  401: 'unauthenticated',
  403: 'forbidden',
  404: 'sandbox_not_found',
  409: 'sandbox_ended',
  410: 'sandbox_ended',
  429: 'too_many_connections',
  503: 'unavailable',
};

async function readRefusal(response: IncomingMessage, url: string): Promise<WarmpoolClientError> {
  const status = response.statusCode ?? 0;
  const sentence = readSentence(await readText(response));
  const code = codeOfStatus[status] ?? (status >= 500 ? 'unavailable' : 'unreachable');
  const message = `the node at ${place(url)} refused the connection (${status})${sentence === '' ? '' : `: ${sentence}`}`;
  return new WarmpoolClientError(code, message, { details: { status } });
}

async function readText(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length > refusalBytesMax) break;
    }
  } catch {
    // What came is enough: the status says what to do.
  }
  return text.slice(0, refusalBytesMax);
}

/** Refusals are `{"error": "…"}`, `{"message": "…"}`, or plain text. */
function readSentence(text: string): string {
  try {
    const { message, error } = JSON.parse(text) as { message?: unknown; error?: unknown };
    if (typeof message === 'string') return message;
    return typeof error === 'string' ? error : '';
  } catch {
    return text.trim().split('\n')[0] ?? '';
  }
}

/** Never the path or the query: a token may be in it. */
function place(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'this address';
}
