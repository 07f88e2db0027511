import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { Sandbox, Warmpool } from '../../src/client/node/entry-node.ts';

import { TcpProxy } from '../client/tcp-proxy.ts';
import { TestService } from '../support/service.ts';
import { until } from '../support/until.ts';

export interface TerminalsSize {
  readonly terminals: number;
  readonly bytesEach: number;
  /** Of the connections of all terminals together, at least. */
  readonly cuts: number;
  /** So many terminals share a sandbox. */
  readonly perSandbox: number;
}

/** Many terminals at once share a processor. */
const patienceMs = 600_000;
/** As many digits for every line: how many lines there are says how many bytes. */
const lineBytes = 16;

/**
 * T17: terminals that print numbered lines over connections that are cut again and again, with changes of size, and a
 * takeover by a second client in the middle. Every byte has to arrive once and in order, and no process may be left.
 */
export async function terminalsKeepEveryByte(context: TestContext, size: TerminalsSize): Promise<void> {
  const sandboxes = Math.ceil(size.terminals / size.perSandbox);
  const pool = {
    name: 'base',
    template: { resources: { cpu: 2, memoryMb: 256, diskMb: 16, pids: 128 } },
    size: { minReady: 2, maxReady: 4, maxTotal: sandboxes + 4, targetHitRatio: 0 },
    lease: { ttl: '30m' },
  };
  await using service = await TestService.start({ pools: [pool], env: { WARMPOOL_RUNTIME: 'bubblewrap' } });
  using warmpool = new Warmpool({ address: service.grpc });
  const made = await Promise.all(Array.from({ length: sandboxes }, () => warmpool.create('base')));
  const zombiesBefore = zombiesOf(service.process.pid);
  const work = Array.from({ length: size.terminals }, async (_, index) => {
    const sandbox = made[Math.floor(index / size.perSandbox)];
    assert.ok(sandbox);
    const { wsUrl, dataToken: token } = sandbox.info;
    await using proxy = await TcpProxy.start(wsUrl);
    const reconnect = { firstPauseMs: 1, pauseMsMax: 20 };
    const through = { wsUrl: proxy.urlOf(wsUrl), token, reconnect };
    // Its connections need the proxy until it has ended.
    return await oneTerminal(through, proxy, size, index);
  });
  // One that fails must not leave the others without the service that they use.
  const ended = await Promise.allSettled(work);
  const failed = ended.find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
  const cuts = ended.reduce((sum, each) => sum + (each.status === 'fulfilled' ? each.value : 0), 0);
  context.diagnostic(`${size.terminals} terminals of ${size.bytesEach} bytes, ${cuts} cuts`);
  assert.ok(cuts >= size.cuts, `${cuts} cuts`);
  for (const sandbox of made) {
    const { processes } = sandbox;
    await until(
      async () => (await processes.list()).every(({ running }) => !running),
      'every process to end',
    );
  }
  assert.ok(zombiesOf(service.process.pid) <= zombiesBefore, 'no zombie is left');
  await Promise.all(made.map((sandbox) => sandbox.delete()));
}

async function oneTerminal(
  connection: Parameters<typeof Sandbox.connect>[0],
  proxy: TcpProxy,
  size: TerminalsSize,
  index: number,
): Promise<number> {
  const lines = Math.ceil(size.bytesEach / lineBytes);
  await using sandbox = await Sandbox.connect(connection);
  const terminal = await sandbox.pty({
    command: `stty raw -echo; echo ready; read x; seq -f 'line %010.0f' 1 ${lines}`,
    replayBytes: 1_048_576,
  });
  const digest = createHash('sha256');
  let bytes = 0;
  let head = Buffer.alloc(0);
  let readyEnded = -1;
  const reading = (async () => {
    for await (const piece of terminal.output) {
      if (readyEnded < 0) {
        head = Buffer.concat([head, piece]);
        const end = head.indexOf('ready\n');
        if (end < 0) continue;
        readyEnded = end + 'ready\n'.length;
        digest.update(head.subarray(readyEnded));
        bytes += head.length - readyEnded;
        continue;
      }
      digest.update(piece);
      bytes += piece.length;
    }
  })();
  // Awaited below: what ends the test before that is the error to be told.
  reading.catch(() => {});
  await until(() => readyEnded >= 0, 'the terminal to be ready', patienceMs);
  // A connection has to outlive its longest frame, or nothing would ever arrive.
  const betweenCuts = Math.max(150_000, Math.floor((size.bytesEach * size.terminals) / (size.cuts * 4)));
  proxy.cutEvery(betweenCuts);
  await terminal.write('\n');
  for (let step = 0; step < 4; step += 1) {
    await until(() => bytes >= (step * lines * lineBytes) / 4, 'a quarter of the output', patienceMs);
    terminal.resize({ cols: 80 + index + step, rows: 24 + step });
  }
  assert.equal((await terminal.wait()).exitCode, 0);
  await reading;
  const expected = createHash('sha256');
  for (let line = 1; line <= lines; line += 1) expected.update(`line ${String(line).padStart(10, '0')}\n`);
  assert.equal(bytes, lines * lineBytes);
  assert.equal(digest.digest('hex'), expected.digest('hex'));
  return proxy.cuts;
}

function zombiesOf(parent: number | undefined): number {
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isZombieOf(pid, parent)).length;
}

function isZombieOf(pid: string, parent: number | undefined): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, ppid] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' && Number(ppid) === parent;
  } catch {
    return false;
  }
}
