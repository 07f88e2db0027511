import type { Line } from './history.ts';

export interface CheckOptions {
  /** After a failover, or a store that was put back, one sandbox may be in two answers; it is bound to one of them. */
  readonly storeLostWrites?: boolean;
  /** How late a call may end, or a lease: what a machine with other work takes, not what is promised. */
  readonly slackMs?: number;
}

/**
 * Reads a history and says what is wrong with it, a sentence for each violation, with the number of the invariant. That
 * hand-out is one-shot makes this enough: no search for an order of operations is needed.
 */
export function violationsIn(history: readonly Line[], options: CheckOptions = {}): readonly string[] {
  const slackMs = options.slackMs ?? slackMsDefault;
  return [
    ...boundTwice(history),
    ...(options.storeLostWrites === true ? [] : answeredTwice(history)),
    ...requestsWithTwoAnswers(history),
    ...readyAgain(history),
    ...endedEarly(history),
    ...left(history),
    ...unanswered(history, slackMs),
  ];
}

/** I1: over all journals of all nodes, every (sandbox, incarnation) has one claim. */
function boundTwice(history: readonly Line[]): string[] {
  const claims = new Groups();
  for (const line of history) {
    if (line.t === 'bound') claims.add(`${line.sandbox} at incarnation ${line.incarnation}`, line.claim);
  }
  return claims.over(1).map(([what, all]) => `I1: ${what} is bound to the claims ${all.join(' and ')}`);
}

/** I1: without a loss of the store's, no sandbox is in the answers to two requests. */
function answeredTwice(history: readonly Line[]): string[] {
  const requests = new Groups();
  for (const { call, sandbox } of creates(history)) requests.add(sandbox, `${call.tenant}/${call.requestId}`);
  return requests.over(1).map(([sandbox, all]) => `I1: ${sandbox} was given to ${all.join(' and ')}`);
}

/** I2: the same request of the same tenant with the same body has one sandbox, whoever answers. */
function requestsWithTwoAnswers(history: readonly Line[]): string[] {
  const sandboxes = new Groups();
  for (const { call, sandbox } of creates(history))
    sandboxes.add(`${call.tenant}/${call.requestId} (${call.body})`, sandbox);
  return sandboxes.over(1).map(([request, all]) => `I2: request ${request} was given ${all.join(' and ')}`);
}

/** I3: what was once claimed is never ready again. */
function readyAgain(history: readonly Line[]): string[] {
  const claimed = new Set<string>();
  const wrong: string[] = [];
  for (const line of history) {
    if (line.t !== 'event') continue;
    if (line.to === 'running') claimed.add(line.sandbox);
    else if (line.to === 'ready' && claimed.has(line.sandbox))
      wrong.push(`I3: ${line.sandbox} was claimed, and is ready again`);
  }
  return wrong;
}

/** I5: what a keepalive was acknowledged for is not ended by its lease before that. */
function endedEarly(history: readonly Line[]): string[] {
  const until = new Map<string, number>();
  const wrong: string[] = [];
  for (const line of history) {
    if (line.t === 'kept') until.set(line.sandbox, line.atMs + line.ttlMs);
    if (line.t !== 'gone' || line.why !== 'lease_expired') continue;
    const promisedMs = until.get(line.sandbox) ?? Number.NEGATIVE_INFINITY;
    // The acknowledgement was on its way for a while, and the two are rounded.
    const earlyMs = promisedMs - line.atMs - roundingMs;
    if (earlyMs > 0)
      wrong.push(`I5: ${line.sandbox} was ended ${earlyMs} ms before the end of its keepalive`);
  }
  return wrong;
}

/** I6 */
function left(history: readonly Line[]): string[] {
  return history.flatMap((line) => (line.t === 'left' ? [`I6: left behind: ${line.what}`] : []));
}

/** I15: every call has its one answer, by its deadline. */
function unanswered(history: readonly Line[], slackMs: number): string[] {
  const open = new Map<number, Extract<Line, { t: 'call' }>>();
  const wrong: string[] = [];
  for (const line of history) {
    if (line.t === 'call') open.set(line.call, line);
    if (line.t !== 'answer' && line.t !== 'refusal') continue;
    const call = open.get(line.call);
    if (!call) wrong.push(`I15: call ${line.call} was answered twice, or never made`);
    else if (line.atMs > call.atMs + call.deadlineMs + slackMs)
      wrong.push(`I15: ${call.what} ${line.call} was answered ${line.atMs - call.atMs} ms after it was made`);
    open.delete(line.call);
  }
  for (const [number, { what }] of open) wrong.push(`I15: ${what} ${number} was never answered`);
  return wrong;
}

function creates(history: readonly Line[]): { call: Extract<Line, { t: 'call' }>; sandbox: string }[] {
  const calls = new Map<number, Extract<Line, { t: 'call' }>>();
  const answered: { call: Extract<Line, { t: 'call' }>; sandbox: string }[] = [];
  for (const line of history) {
    if (line.t === 'call' && line.what === 'create') calls.set(line.call, line);
    const call = line.t === 'answer' ? calls.get(line.call) : undefined;
    if (line.t === 'answer' && call) answered.push({ call, sandbox: line.sandbox });
  }
  return answered;
}

/** Which different values each key has had. */
class Groups {
  readonly #values = new Map<string, Set<string>>();

  add(key: string, value: string): void {
    const known = this.#values.get(key);
    if (known) known.add(value);
    else this.#values.set(key, new Set([value]));
  }

  over(count: number): [string, string[]][] {
    return [...this.#values]
      .filter(([, values]) => values.size > count)
      .map(([key, values]) => [key, [...values]]);
  }
}

const slackMsDefault = 30_000;
const roundingMs = 5;
