import type { Command } from 'commander';
import { NodeSandbox } from '../client/node/node-sandbox.ts';
import type { SandboxView } from '../client/views.ts';
import { WarmpoolClientError } from '../client/warmpool-client-error.ts';
import { apiKey, withClient } from './connection.ts';

/** Runs a task with a connection into the sandbox of this id, and closes it. */
export async function withSandbox<T>(
  command: Command,
  id: string,
  task: (sandbox: NodeSandbox) => Promise<T>,
): Promise<T> {
  return await withClient(command, async (client) => {
    await using sandbox = await connectTo(await client.get(id));
    return await task(sandbox);
  });
}

/** Settles when there is a connection. */
export async function connectTo(view: SandboxView): Promise<NodeSandbox> {
  if (view.wsUrl === '') {
    throw new WarmpoolClientError('unavailable', `no node serves the connections of sandbox ${view.id} now`);
  }
  const token = view.dataToken === '' ? apiKey() : view.dataToken;
  return await NodeSandbox.connect({ wsUrl: view.wsUrl, token });
}

/**
 * Renews the lease for as long as somebody sits in front of it, at a third of what is left, so that two renewals may be
 * lost. Nothing is said when that fails: the connection says what is wrong.
 */
export function keptAlive(sandbox: NodeSandbox): Disposable {
  let timer: NodeJS.Timeout;
  const renewLater = () => {
    const delayMs = Math.max(delayMsMin, (sandbox.lease?.remainingMs ?? 0) / 3);
    timer = setTimeout(() => {
      sandbox.keepAlive().then(renewLater, renewLater);
    }, delayMs).unref();
  };
  renewLater();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

const delayMsMin = 250;

/** Aborts at the first SIGINT or SIGTERM; the second one ends this process as it would have without us. */
export function interruptible(): { readonly signal: AbortSignal } & Disposable {
  const interrupted = new AbortController();
  const abort = () => interrupted.abort();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(name, abort);
  return {
    signal: interrupted.signal,
    [Symbol.dispose]: () => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, abort);
    },
  };
}
