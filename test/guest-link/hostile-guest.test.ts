import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeCredit, encodeError } from '../../protocol/control-messages.ts';
import { encodeExecExit, encodeExecStarted } from '../../protocol/exec-messages.ts';
import { emptyMap, encodeMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import type { GuestProcess } from '../../src/guest-link/guest.ts';
import {
  exitFrame,
  openScripted,
  type ScriptedGuest,
  type SentFrame,
  welcomeFrame,
} from './scripted-guest.ts';

const { Ack, ChannelClose, Credit, End, Error: Refusal, ErrorOutput, ExecExit, ExecStart } = messageTypes;
const { LeaseNotice, Output, OutputEof, Ping, Pong } = messageTypes;

interface Violation {
  readonly name: string;
  /** What the guest sends, on a link with one running process (stdin open, windows of 1,000) and one starting. */
  readonly send: (channels: { running: number; starting: number; exited: number }) => readonly SentFrame[];
  readonly reason: RegExp;
}

const violations: readonly Violation[] = [
  {
    name: 'output beyond its credit',
    send: ({ running }) => [
      { type: Output.code, channel: running, payload: Buffer.alloc(600) },
      { type: ErrorOutput.code, channel: running, payload: Buffer.alloc(401) },
    ],
    reason: /401 bytes of output with a credit of 400/,
  },
  {
    name: 'output on a channel nobody opened',
    send: () => [{ type: Output.code, channel: 999, payload: Buffer.from('x') }],
    reason: /Output on a channel that is not open/,
  },
  {
    name: 'output after the exit',
    send: ({ exited }) => [{ type: Output.code, channel: exited, payload: Buffer.from('x') }],
    reason: /Output on a channel that is not open/,
  },
  {
    name: 'a second exit',
    send: ({ exited }) => [exitFrame(exited)],
    reason: /ExecExit on a channel that is not open/,
  },
  {
    name: 'output before the start was answered',
    send: ({ starting }) => [{ type: Output.code, channel: starting, payload: Buffer.from('x') }],
    reason: /Output before ExecStart was answered/,
  },
  {
    name: 'an exit before the start was answered',
    send: ({ starting }) => [exitFrame(starting)],
    reason: /ExecExit before ExecStart was answered/,
  },
  {
    name: 'a second answer to a start',
    send: ({ running }) => [
      { type: Ack.code, channel: running, id: running, payload: encodeExecStarted({ pid: 5, process: 1 }) },
    ],
    reason: /Ack for an open ExecStart/,
  },
  {
    name: 'an answer with the id of another request',
    send: ({ starting, running }) => [
      { type: Ack.code, channel: starting, id: running, payload: encodeExecStarted({ pid: 5, process: 1 }) },
    ],
    reason: /Ack answers request/,
  },
  {
    name: 'an answer on the channel of another request',
    send: ({ starting }) => [
      { type: Ack.code, channel: 999, id: starting, payload: encodeExecStarted({ pid: 5, process: 1 }) },
    ],
    reason: /Ack on a channel that is not open/,
  },
  {
    name: 'an error for the whole link',
    send: () => [{ type: Refusal.code, payload: encodeError({ code: 'unknown_message', message: '' }) }],
    reason: /Error unknown_message for the link/,
  },
  {
    name: 'credit on the control channel',
    send: () => [{ type: Credit.code, payload: encodeCredit(1) }],
    reason: /Credit on the control channel/,
  },
  {
    name: 'a Pong without a Ping',
    send: () => [{ type: Pong.code, id: 1 }],
    reason: /Pong without its Ping/,
  },
  {
    name: 'a second Welcome',
    send: () => [welcomeFrame({ nonce: Buffer.alloc(16) })],
    reason: /Welcome on an open link/,
  },
  {
    name: 'a message that only a node sends',
    send: () => [{ type: ExecStart.code, channel: 1, id: 1 }],
    reason: /ExecStart does not come from the responder/,
  },
  { name: 'a type of no table', send: () => [{ type: 0x7f }], reason: /unknown type 0x7f/ },
  {
    name: 'a Ping that is too long',
    send: () => [{ type: Ping.code, payload: Buffer.alloc(65) }],
    reason: /Ping with a payload of 65 bytes/,
  },
  {
    name: 'an end in place of an exit',
    send: ({ running }) => [{ type: End.code, channel: running, payload: emptyMap }],
    reason: /End for an open ExecStart/,
  },
  {
    name: 'the end of a direction that a process does not have',
    send: ({ running }) => [{ type: OutputEof.code, channel: running }],
    reason: /OutputEof for an open ExecStart/,
  },
  {
    name: 'a close of a channel that nobody gave up before its start was answered',
    send: ({ starting }) => [{ type: ChannelClose.code, channel: starting }],
    reason: /ChannelClose before ExecStart was answered/,
  },
  {
    name: 'an error with a code of no table',
    send: ({ running }) => [
      { type: Refusal.code, channel: running, payload: must(encodeMap({ code: 'odd', message: '' })) },
    ],
    reason: /Error with a wrong payload: code/,
  },
  {
    name: 'an Ack to nobody on the control channel',
    send: () => [{ type: Ack.code, id: 9, payload: emptyMap }],
    reason: /Ack without its request/,
  },
  {
    name: 'a message of the socket',
    send: () => [{ type: LeaseNotice.code, payload: emptyMap }],
    reason: /LeaseNotice is not spoken on the link/,
  },
  {
    name: 'an Ack that is no map',
    send: ({ starting }) => [
      { type: Ack.code, channel: starting, id: starting, payload: Buffer.from([0xc0]) },
    ],
    reason: /Ack with a wrong payload: not a map|Ack with a wrong payload: nil/,
  },
  {
    name: 'an exit with a bomb of empty maps',
    send: ({ running }) => [{ type: ExecExit.code, channel: running, payload: Buffer.alloc(65_536, 0x80) }],
    reason: /ExecExit with a wrong payload/,
  },
  {
    name: 'an exit code over 255',
    send: ({ running }) => [
      {
        type: ExecExit.code,
        channel: running,
        payload: encodeExecExit({ exitCode: 256, signal: null, timedOut: false, durationUs: 0 }),
      },
    ],
    reason: /exit_code: not an integer from 0 to 255/,
  },
];

describe('a guest that breaks the protocol', () => {
  for (const { name, send, reason } of violations) {
    it(`G2 loses its link by ${name}`, async () => {
      const { guest, link } = await openScripted({ window: 1_000 }, { window: 1_000 });
      const exited = await run(guest, link.spawn(command, sink()));
      guest.exit(exited.channel);
      await exited.process.exited;
      const running = await run(guest, link.spawn(command, sink()));
      const starting = link.spawn(command, sink());
      const startingChannel = (await guest.next(ExecStart.code)).channel;
      const failing = [running.process.exited, starting, link.ping(1_000)];
      const settled = Promise.allSettled(failing);
      await guest.next(Ping.code);
      guest.send(
        ...send({ running: running.channel, starting: startingChannel, exited: exited.channel }),
        exitFrame(running.channel),
      );
      const why = await link.closed;
      assert.match(why, /^the guest broke the protocol: /);
      assert.match(why, reason);
      for (const outcome of await settled) {
        assert.equal(outcome.status, 'rejected', 'no frame behind the wrong one was acted on');
        assert.equal(outcome.reason.code, 'GUEST_UNREACHABLE');
      }
      assert.ok(guest.transport.destroyed);
    });
  }

  it('G2 may use its credit to the last byte, and what was released again', async () => {
    const { guest, link } = await openScripted({ window: 1_000 });
    let bytes = 0;
    const { process, channel } = await run(
      guest,
      link.spawn(command, {
        onOutput: (_stream, chunk) => {
          bytes += chunk.length;
        },
      }),
    );
    for (let round = 0; round < 10; round += 1) {
      guest.send({ type: Output.code, channel, payload: Buffer.alloc(1_000) });
      process.release(1_000);
      await guest.next(Credit.code);
    }
    guest.exit(channel);
    assert.equal((await process.exited).exitCode, 0);
    assert.equal(bytes, 10_000);
    link.close();
  });
});

const command = { argv: ['x'], env: {}, cwd: '', user: '', stdin: true, timeoutMs: 0 };

function sink() {
  return { onOutput: () => {} };
}

async function run(
  guest: ScriptedGuest,
  started: Promise<GuestProcess>,
): Promise<{ process: GuestProcess; channel: number }> {
  const channel = await guest.acknowledge();
  return { process: await started, channel };
}

function must<T>(result: ParseResult<T>): T {
  return 'value' in result ? result.value : assert.fail(result.error);
}
