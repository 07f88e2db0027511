import { type ClientSocket, type Dial, subprotocol, tokenSubprotocolPrefix } from './dial.ts';
import { WarmpoolClientError } from './warmpool-client-error.ts';

/**
 * A WebSocket of the platform. It does not tell why an upgrade was refused: a wrong token, a sandbox that is gone and a
 * node that is down are all `unreachable` here, and are told apart only by a service's own log.
 */
export const dialBrowser: Dial = (target, events, signal) =>
  new Promise<ClientSocket>((resolve, reject) => {
    signal.throwIfAborted();
    const credential = target.credential === undefined ? [] : [tokenSubprotocolPrefix + target.credential];
    const socket = new (platformWebSocket())(target.url, [subprotocol, ...credential]);
    socket.binaryType = 'arraybuffer';
    let isOpen = false;
    const abort = () => {
      reject(signal.reason);
      socket.close();
    };
    signal.addEventListener('abort', abort, { once: true });
    socket.onopen = () => {
      signal.removeEventListener('abort', abort);
      if (signal.aborted) return;
      isOpen = true;
      resolve({
        send: (message) => socket.send(message),
        close: (code, reason) => socket.close(code, reason),
        // There is no other way to end one here; the timer of whoever calls this is not held up by it.
        abort: () => socket.close(),
      });
    };
    socket.onmessage = ({ data }) => {
      if (!signal.aborted || isOpen)
        events.onMessage(data instanceof ArrayBuffer ? new Uint8Array(data) : String(data));
    };
    socket.onclose = ({ code, reason }) => {
      signal.removeEventListener('abort', abort);
      if (isOpen) events.onClose(code, reason);
      else
        reject(
          new WarmpoolClientError(
            'unreachable',
            `no connection to ${target.url}: refused, or nobody answers`,
          ),
        );
    };
  });

/** As much of the platform's class as is used here. Node's types have none, and browsers' would bring in the whole DOM. */
interface PlatformWebSocket {
  binaryType: string;
  onopen: (() => void) | null;
  onmessage: ((event: { readonly data: unknown }) => void) | null;
  onclose: ((event: { readonly code: number; readonly reason: string }) => void) | null;
  send(message: Uint8Array): void;
  close(code?: number, reason?: string): void;
}

function platformWebSocket(): new (url: string, protocols: readonly string[]) => PlatformWebSocket {
  const { WebSocket } = globalThis as { WebSocket?: new (...given: never[]) => unknown };
  if (WebSocket === undefined) throw new Error('this platform has no WebSocket');
  return WebSocket as unknown as new (
    url: string,
    protocols: readonly string[],
  ) => PlatformWebSocket;
}
