import { emptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { parseRenewedToken, type RenewedToken } from '../../protocol/session-messages.ts';

/** Where the requests go: one socket. */
interface Asker {
  request(type: number, payload: Uint8Array): Promise<Uint8Array>;
}

/**
 * Renews the token of one socket until the returned function is called: soon after the beginning, since only an answer says how
 * long a token lasts, and then at half of its time, so that one renewal may fail. A node that refuses is asked no more:
 * the credential is then one that needs no renewal (an API key), or the socket's end will say what is wrong.
 */
export function renewTokens(asker: Asker, onToken: (token: string) => void): () => void {
  let isOver = false;
  let timer = setTimeout(next, firstDelayMs);
  function next(): void {
    void renew(asker).then((renewed) => {
      if (renewed === null || isOver) return;
      onToken(renewed.token);
      timer = setTimeout(next, Math.max(renewed.expiresInMs / 2, delayMsMin));
    });
  }
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

async function renew(asker: Asker): Promise<RenewedToken | null> {
  try {
    const answer = parseRenewedToken(await asker.request(messageTypes.TokenRenew.code, emptyMap));
    return 'value' in answer ? answer.value : null;
  } catch {
    return null;
  }
}

/** Most sockets of a program that runs one command are gone by then, and need no new token. */
const firstDelayMs = 1_000;
/** A node that gives out tokens of no time at all may not make its clients spin. */
const delayMsMin = 1_000;
