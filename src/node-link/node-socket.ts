import { randomFillSync } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import { type ErrorCode, errorCodes, WarmpoolError } from '../domain/errors.ts';

/** Where a node takes the connections of other processes, for one sandbox. */
export interface NodeTarget {
  readonly nodeId: string;
  readonly sandboxId: string;
  /** `ws://…` or `wss://…`, without a slash at its end: as the node has said. */
  readonly baseUrl: string;
  /** Opens this one socket. */
  readonly token: string;
  /** For `wss://`. */
  readonly tls: NodeTls;
}

/** In PEM. */
export interface NodeTls {
  /** Certificates that sign those of nodes; absent: those that the system trusts. */
  readonly ca?: string;
  /** Of this process, for whoever asks for one in front of a node. */
  readonly cert?: string;
  readonly key?: string;
}

export interface NodeSocketEvents {
  /** The bytes are the receiver's. Text is null: it is no message of the protocol. */
  onMessage(message: Uint8Array | null): void;
  /** Once, and only after the socket was open. */
  onClose(code: number, reason: string): void;
}

/** An open WebSocket to a node. */
export interface NodeSocket {
  /** Waiting for the network. */
  readonly bufferedBytes: number;
  /** The bytes are the caller's again when this returns. `onWritten`: the network has it and all before it, or never will. */
  send(message: Uint8Array, onWritten?: () => void): void;
  close(code: number): void;
  /** Ends it at once: the other side is not expected to answer any more. */
  abort(): void;
}

/**
 * Throws what the node refused with, in the words of the catalogue, or NODE_UNREACHABLE; or the signal's reason, which is
 * what bounds it: a node may send its answer byte by byte.
 */
export function dialNode(
  target: NodeTarget,
  events: NodeSocketEvents,
  signal: AbortSignal,
): Promise<NodeSocket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const url = `${target.baseUrl}/warmpool/v1/sandboxes/${target.sandboxId}/connect`;
    const socket = new WebSocket(url, 'warmpool.v1', {
      perMessageDeflate: false,
      // Whoever can write to the store names the host: it gets no second one to send a token to.
      followRedirects: false,
      maxPayload: messageBytesMax,
      generateMask,
      headers: { authorization: `Bearer ${target.token}` },
      ...target.tls,
    });
    let isOpen = false;
    let failure = '';
    const giveUp = () => {
      reject(signal.reason);
      socket.terminate();
    };
    signal.addEventListener('abort', giveUp, { once: true });
    // An error is always followed by `close`, which knows nothing of its reason.
    socket.on('error', (cause) => {
      failure = 'code' in cause ? String(cause.code) : cause.message;
      reject(nodeUnreachable(target, failure, cause));
    });
    socket.on('unexpected-response', (request, response) => {
      void refusalOf(response, target).then((refusal) => {
        reject(refusal);
        request.destroy();
      });
    });
    socket.on('open', () => {
      isOpen = true;
      signal.removeEventListener('abort', giveUp);
      resolve({
        get bufferedBytes() {
          return socket.bufferedAmount;
        },
        send: (message, onWritten) => socket.send(message, onWritten),
        close: (code) => closeSoon(socket, code),
        abort: () => socket.terminate(),
      });
    });
    socket.on('message', (data, isBinary) => {
      events.onMessage(isBinary && data instanceof Uint8Array ? data : null);
    });
    socket.on('close', (code, reason) => {
      signal.removeEventListener('abort', giveUp);
      if (isOpen) events.onClose(code, reason.toString() || failure);
      else reject(nodeUnreachable(target, 'it hung up'));
    });
  });
}

export function nodeUnreachable(
  { nodeId, sandboxId }: Pick<NodeTarget, 'nodeId' | 'sandboxId'>,
  why: string,
  cause?: unknown,
): WarmpoolError {
  return new WarmpoolError(
    'NODE_UNREACHABLE',
    `sandbox ${sandboxId} on node "${nodeId}" cannot be reached now: ${why}`,
    { retryAfterMs: 1_000, facts: { sandbox: sandboxId, node: nodeId } },
    { cause },
  );
}

/** Never zero: the library sends what it need not mask from where it lies, and those bytes may be used again. */
function generateMask(mask: Buffer): void {
  randomFillSync(mask);
  if (mask.readUInt32BE() === 0) mask[0] = 1;
}

/** The library waits 30 s for the other side's goodbye. */
function closeSoon(socket: WebSocket, code: number): void {
  socket.close(code);
  const timer = setTimeout(() => socket.terminate(), goodbyeMsMax);
  socket.once('close', () => clearTimeout(timer));
}

async function refusalOf(response: IncomingMessage, target: NodeTarget): Promise<WarmpoolError> {
  const { code, message } = parseRefusal(await readText(response));
  if (response.statusCode === 401) return nodeUnreachable(target, otherKey);
  // The sandbox's owner is told what the node says of the sandbox; what it says of the connection is between the two.
  if (code === null || aboutConnection.has(code)) {
    const said = message === '' ? '' : `: ${message}`;
    return nodeUnreachable(target, `its node has refused the connection (${response.statusCode})${said}`);
  }
  return new WarmpoolError(code, message, { facts: { sandbox: target.sandboxId, node: target.nodeId } });
}

export const otherKey =
  'its node does not take the token of this process; they need the same key (WARMPOOL_DATA_KEY), and clocks that agree';

const aboutConnection: ReadonlySet<ErrorCode> = new Set([
  'UNAUTHENTICATED',
  'PERMISSION_DENIED',
  'INVALID_REQUEST',
  'DRAINING',
  'INTERNAL',
]);

async function readText(response: IncomingMessage): Promise<string> {
  let text = '';
  try {
    for await (const chunk of response) {
      text += String(chunk);
      if (text.length > refusalCharactersMax) return '';
    }
  } catch {
    // The status says enough.
  }
  return text;
}

/** `{"error": {"code", "message"}}`, as the data plane refuses. Anything may have answered in its place. */
function parseRefusal(text: string): { readonly code: ErrorCode | null; readonly message: string } {
  try {
    const { error } = JSON.parse(text) as { error?: { code?: unknown; message?: unknown } };
    const code = errorCodes.find((known) => known === error?.code) ?? null;
    const message = typeof error?.message === 'string' ? error.message : '';
    return {
      code,
      message: message.replace(/[\p{Cc}\p{Cf}\p{Surrogate}]/gu, '\ufffd').slice(0, messageCharactersMax),
    };
  } catch {
    return { code: null, message: '' };
  }
}

const goodbyeMsMax = 1_000;
/** A frame of the largest payload. */
const messageBytesMax = 65_545;
const refusalCharactersMax = 16_384;
const messageCharactersMax = 512;
