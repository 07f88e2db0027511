import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import type { ServiceError } from '@grpc/grpc-js';
import type { ExecStart } from '../../src/grpc/gen/warmpool/v1/ExecStart.ts';
import type { ExecStreamRequest } from '../../src/grpc/gen/warmpool/v1/ExecStreamRequest.ts';
import type { ExecStreamResponse__Output } from '../../src/grpc/gen/warmpool/v1/ExecStreamResponse.ts';
import type { ListProcessesResponse__Output } from '../../src/grpc/gen/warmpool/v1/ListProcessesResponse.ts';
import type { GuestLink } from '../../src/guest-link/guest-link.ts';
import { guestMissing, RealGuest } from '../guest-link/real-guest.ts';
import { eventually } from '../support/bubblewrap-sandboxes.ts';
import { grpcFixture } from '../support/grpc-fixture.ts';
import { RawClients, streamFailure } from '../support/grpc-raw.ts';
import { until } from '../support/until.ts';
import { within } from '../support/within.ts';

const skip = guestMissing();

describe('terminals and detached processes over gRPC, in a real guest', {
  skip,
}, async () => {
  const { allocator, address, client } = await grpcFixture();
  const raw = new RawClients(address);
  const { id: sandboxId } = await client.create('base');
  let guest: RealGuest;
  let link: GuestLink;

  before(async () => {
    guest = new RealGuest('once');
    link = await guest.open();
    allocator.guest = link;
  });
  after(async () => {
    raw.sandboxes.close();
    await link?.[Symbol.asyncDispose]();
    await guest?.[Symbol.asyncDispose]();
  });

  const base = { sandboxId, user: '0', cwd: '/', env: { PATH: '/usr/bin:/bin', PS1: '$ ' } };
  const tty = { cols: 100, rows: 30 };

  /** A stream whose output can be waited for. */
  function open(first: ExecStreamRequest) {
    const stream = raw.commands.execStream();
    const seen: ExecStreamResponse__Output[] = [];
    let text = '';
    stream.on('data', (message: ExecStreamResponse__Output) => {
      seen.push(message);
      text += `${message.stdout ?? ''}${message.stderr ?? ''}`;
    });
    const failure = streamFailure(stream);
    failure.catch(() => {});
    stream.write(first);
    const until = async (isThere: () => boolean) => {
      while (!isThere()) {
        await within(
          once(stream, 'data'),
          () => `no more than ${seen.length} messages: ${JSON.stringify(text)}`,
        );
      }
    };
    return {
      stream,
      failure,
      get text() {
        return text;
      },
      get offset() {
        return Number(seen[0]?.started?.offset) + Buffer.byteLength(text);
      },
      send: (message: ExecStreamRequest) => void stream.write(message),
      type: (line: string) => void stream.write({ stdin: Buffer.from(line) }),
      started: async () => {
        await until(() => seen.length > 0);
        assert.ok(seen[0]?.started);
        return seen[0].started;
      },
      says: (pattern: RegExp) => until(() => pattern.test(text)),
      exit: async () => {
        await until(() => seen.some((message) => message.exit));
        return seen.at(-1)?.exit;
      },
    };
  }

  const start = (change: Partial<ExecStart>) => open({ start: { ...base, argv: ['sh'], ...change } });

  function list(): Promise<ListProcessesResponse__Output['processes']> {
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, response?: ListProcessesResponse__Output) =>
        error || !response ? reject(error) : resolve(response.processes);
      raw.commands.listProcesses({ sandboxId }, done);
    });
  }

  const runs = async (process: number) =>
    (await list()).some((each) => each.process === process && each.running);

  it('a shell has a terminal of the size asked for, and of each size after it', async () => {
    const shell = start({ tty });
    const started = await shell.started();
    assert.equal(started.tty, true);
    shell.type('stty size; tty; echo term=$TERM\n');
    await shell.says(/30 100\r\n\/dev\/pts\/\d+\r\nterm=xterm-256color\r\n/);
    shell.send({ resize: { cols: 120, rows: 40 } });
    shell.type('stty size\n');
    await shell.says(/40 120\r\n/);
    shell.type('exit 5\n');
    assert.equal((await shell.exit())?.exitCode, 5);
  });

  it('^C ends what runs in the foreground and not the shell', async () => {
    const shell = start({ tty });
    shell.type('sh -c "echo up; exec sleep 1000"\n');
    await shell.says(/up\r\n/);
    shell.type('\u0003');
    // At its prompt only: a shell that goes from one to the next may change the terminal's mode and lose a ^D.
    await shell.says(/up\r\n[^$]*\$ /);
    shell.type('echo back$((1+1))\n');
    await shell.says(/back2\r\n[^\n]*\$ $/);
    shell.type('\u0004');
    await shell.exit();
  });

  it('a detached process outlives its stream, and a later one goes on where the first stopped', async () => {
    const first = start({ tty, detach: true, replayBytes: 10_000 });
    const { process } = await first.started();
    assert.ok(process > 0);
    first.type('echo one$((1+1))\n');
    await first.says(/one2\r\n/);
    const { offset } = first;
    first.stream.cancel();

    const second = open({ attach: { sandboxId, process, offset } });
    const attached = await second.started();
    assert.deepEqual([attached.process, Number(attached.offset), attached.tty], [process, offset, true]);
    second.type('echo two$((2+2))\n');
    await second.says(/two4\r\n/);
    assert.doesNotMatch(second.text, /one2/);

    const third = open({ attach: { sandboxId, process } });
    await third.says(/one2(.|\s)*two4/);
    const taken = await second.failure;
    assert.deepEqual([taken.status, taken.details.reason], ['ABORTED', 'PROCESS_TAKEN_OVER']);
    const listed = (await list()).find((each) => each.process === process);
    assert.deepEqual(
      [listed?.argv0, listed?.tty, listed?.detach, listed?.attached, listed?.running],
      ['sh', true, true, true, true],
    );
    third.type('exit\n');
    assert.equal((await third.exit())?.exitCode, 0);
  });

  it('a process that is not detached ends with its stream', async () => {
    const shell = start({ tty });
    const { process } = await shell.started();
    shell.stream.cancel();
    await eventually(async () => !(await runs(process)), 'it ends');
    await until(() => allocator.sessions.every((session) => session.closed), 'every session is closed');
  });

  it('an end that nobody has heard is told to whoever attaches', async () => {
    const quick = start({ argv: ['sh', '-c', 'echo done; exit 7'], detach: true, noStdin: true });
    const { process } = await quick.started();
    quick.stream.cancel();
    await eventually(async () => !(await runs(process)), 'it ends');
    const record = (await list()).find((each) => each.process === process);
    // It may have ended before the stream was gone; then the end has been heard.
    if (!record) return;
    const late = open({ attach: { sandboxId, process } });
    assert.equal((await late.exit())?.exitCode, 7);
    assert.equal(late.text, 'done\n');
  });

  it('names what is wrong with a start, an attach, a size', async () => {
    const fieldsOf = async (first: ExecStreamRequest, second?: ExecStreamRequest) => {
      const stream = raw.commands.execStream();
      stream.write(first);
      if (second) stream.write(second);
      const failure = await streamFailure(stream);
      assert.equal(failure.status, 'INVALID_ARGUMENT');
      return failure.details.violations.map((violation) => violation.field);
    };
    const argv = ['sh'];
    const wrong = { ...base, argv, tty: { cols: 0, rows: 10_001 }, noStdin: true, replayBytes: 1 };
    assert.deepEqual(await fieldsOf({ start: wrong }), ['no_stdin', 'replay_bytes', 'tty.cols', 'tty.rows']);
    assert.deepEqual(await fieldsOf({ start: { ...base, argv: [], tty } }), ['argv']);
    assert.deepEqual(await fieldsOf({ attach: { process: 0, offset: -1 } }), [
      'sandbox_id',
      'process',
      'offset',
    ]);
    const shell = { start: { ...base, argv, tty } };
    assert.deepEqual(await fieldsOf(shell, { resize: { cols: 0, rows: 1 } }), ['resize.cols']);
    assert.deepEqual(await fieldsOf(shell, { attach: { sandboxId, process: 1 } }), ['attach']);
    const plain = { start: { ...base, argv: ['hang'] } };
    assert.deepEqual(await fieldsOf(plain, { resize: { cols: 1, rows: 1 } }), ['resize']);
    const unknown = raw.commands.execStream();
    unknown.write({ attach: { sandboxId, process: 4_000_000 } });
    const failure = await streamFailure(unknown);
    assert.deepEqual([failure.status, failure.details.reason], ['NOT_FOUND', 'PROCESS_UNKNOWN']);
  });

  it('refuses a command that is not there as a plain start does', async () => {
    const stream = raw.commands.execStream();
    stream.write({ start: { ...base, argv: ['no-such-command'], tty } });
    const failure = await streamFailure(stream);
    assert.equal(failure.details.reason, 'COMMAND_NOT_FOUND');
    assert.equal(failure.details.violations[0]?.field, 'argv[0]');
  });
});
