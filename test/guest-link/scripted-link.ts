import assert from 'node:assert/strict';
import { messageTypes } from '../../protocol/message-types.ts';
import type { GuestCommand, GuestProcess, OutputSink } from '../../src/guest-link/guest.ts';
import type { GuestLink } from '../../src/guest-link/guest-link.ts';
import type { ScriptedGuest } from './scripted-guest.ts';

const { Ping, Pong } = messageTypes;

export function command(change: Partial<GuestCommand> = {}): GuestCommand {
  return { argv: ['true'], env: {}, cwd: '/', user: '', stdin: true, timeoutMs: 0, ...change };
}

export const discard: OutputSink = { onOutput: () => {} };

export async function running(
  guest: ScriptedGuest,
  link: GuestLink,
): Promise<{ process: GuestProcess; channel: number }> {
  const started = link.spawn(command(), discard);
  const channel = await guest.acknowledge();
  return { process: await started, channel };
}

/** One round trip, with nothing in front of it. */
export async function assertAlive(guest: ScriptedGuest, link: GuestLink): Promise<void> {
  const answered = link.ping(1_000);
  const ping = await guest.next(Ping.code);
  guest.send({ ...ping, type: Pong.code });
  await answered;
}

export function unreachable(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof Error && 'code' in error);
    assert.equal(error.code, 'GUEST_UNREACHABLE');
    assert.match(error.message, message);
    return true;
  };
}
