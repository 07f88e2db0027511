import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { encodeCredit } from '../../protocol/control-messages.ts';
import { inputWindowBytes, payloadBytesMax } from '../../protocol/limits.ts';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { parseLeaseNotice } from '../../protocol/session-messages.ts';
import { newApiKey } from '../../src/auth/api-keys.ts';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import type { SandboxView } from '../../src/client/views.ts';
import { requirement } from '../support/requirements.ts';
import { TestService } from '../support/service.ts';
import { until } from '../support/until.ts';
import { codeOf, fieldsOf, settled } from './frames.ts';
import { RawClient } from './raw-client.ts';
import { execStart, map } from './session-fixture.ts';
import { refusedUpgrade } from './upgrade-contract.ts';

/** Used every second, and then waited for. */
const leaseMs = 10_000;
/** For so long it is used, by what happens in the sandbox: when that is heard of is the machine's business. */
const usedMs = leaseMs + 2_000;
/** The warning of its end comes with a fifth of it left: so long has whoever is to renew it. */
const renewedLeaseMs = 30_000;
const { Ack, ChannelClose, Credit, End, ExecExit, Input, InputEof, Output } = type;

describe('the data plane over real sandboxes, on bubblewrap', await requirement('bubblewrap'), () => {
  const acme = newApiKey('acme');
  const rival = newApiKey('rival');
  const watcher = newApiKey('acme', ['claim']);
  let service: TestService;
  let client: WarmpoolClient;
  let sandbox: SandboxView;
  let expiring: ReturnType<typeof expires>;
  let renewed: ReturnType<typeof renews>;

  before(async () => {
    service = await TestService.start({
      pools: [{ name: 'base', size: { minReady: 2, maxReady: 4, maxTotal: 12 } }],
      env: {
        WARMPOOL_RUNTIME: 'bubblewrap',
        WARMPOOL_API_KEYS: [acme, rival, watcher].map(({ entry }) => entry).join(','),
        WARMPOOL_DATA_ORIGINS: 'https://app.example.com',
      },
    });
    client = connect(service.grpc, { apiKey: acme.key });
    sandbox = await client.create('base', { env: { GREETING: 'hello' } });
    // They mostly wait, beside all other tests, for a lease so long that no busy machine lets it run out by itself.
    expiring = expires();
    renewed = renews();
    for (const waiting of [expiring, renewed]) waiting.catch(() => {});
  });
  after(async () => {
    client?.close();
    await service?.[Symbol.asyncDispose]();
  });

  async function open(of: SandboxView = sandbox): Promise<RawClient> {
    const socket = await RawClient.open(of.wsUrl, { token: of.dataToken });
    await socket.ready();
    return socket;
  }

  /** Runs to the end, granting as it reads; the output, and the exit's fields. */
  async function run(
    socket: RawClient,
    channel: number,
    argv: readonly string[],
    stdin: Uint8Array = Buffer.alloc(0),
  ) {
    socket.send(type.ExecStart.code, channel, 1, execStart(argv));
    const output: Uint8Array[] = [];
    for (;;) {
      const frame = await socket.on(channel);
      if (frame.type === Ack.code) {
        socket.send(Input.code, channel, 0, stdin);
        socket.send(InputEof.code, channel, 0);
      } else if (frame.type === Output.code) {
        output.push(frame.payload);
        socket.send(Credit.code, channel, 0, encodeCredit(frame.payload.length));
      } else if (frame.type === ExecExit.code) {
        return { text: Buffer.concat(output).toString(), exitCode: fieldsOf(frame).exit_code };
      } else if (frame.type !== Credit.code && frame.type !== type.ErrorOutput.code) codeOf(frame);
    }
  }

  test('a command runs with what the claim customised, over both ports', async () => {
    const overHttp = sandbox.wsUrl.replace(/^ws:\/\/[^/]+/, service.http.replace('http', 'ws'));
    // A client of the other dialect's address that offers the native protocol gets it.
    const atTheDialect = overHttp.replace(/\/warmpool\/.*/, `/api/v1/sandboxes/${sandbox.id}/ws`);
    for (const url of [sandbox.wsUrl, overHttp, atTheDialect]) {
      using socket = await RawClient.open(url, { token: sandbox.dataToken });
      await socket.ready();
      const { text, exitCode } = await run(
        socket,
        1,
        ['sh', '-c', 'echo "$GREETING $(id -un) $PWD"; cat; exit 3'],
        Buffer.from('typed'),
      );
      assert.deepEqual([text, exitCode], ['hello user /home/user\ntyped', 3]);
    }
  });

  test('a terminal echoes, tells its size, and ^C ends what runs in it', async () => {
    using socket = await open();
    socket.send(type.ExecStart.code, 1, 1, execStart(['sh', '-i'], { tty: { cols: 90, rows: 30 } }));
    let text = '';
    const until = async (what: RegExp): Promise<void> => {
      while (!what.test(text)) {
        const frame = await socket.on(1);
        if (frame.type === Output.code) text += Buffer.from(frame.payload).toString();
        assert.notEqual(frame.type, ExecExit.code, text);
      }
    };
    await socket.next((frame) => frame.type === Ack.code);
    socket.send(Input.code, 1, 0, Buffer.from('stty size\n'));
    await until(/30 90/);
    socket.send(type.ExecResize.code, 1, 0, map({ cols: 120, rows: 40 }));
    socket.send(Input.code, 1, 0, Buffer.from('stty size\n'));
    await until(/40 120/);
    // Its own word, which its echo does not spell, says that it is what ^C goes to.
    socket.send(Input.code, 1, 0, Buffer.from('sh -c \'echo u""p; exec sleep 100\'; echo "status $?"\n'));
    await until(/up\r\n/);
    socket.send(Input.code, 1, 0, Buffer.from('\u0003'));
    socket.send(Input.code, 1, 0, Buffer.from('echo st"at"us $?\n'));
    await until(/status 130/);
    socket.send(Input.code, 1, 0, Buffer.from('exit 5\n'));
    const exit = await socket.next((frame) => frame.type === ExecExit.code);
    assert.equal(fieldsOf(exit).exit_code, 5);
  });

  test('a file goes up and comes back whole, with its checksum', async () => {
    using socket = await open();
    const content = randomBytes(1_000_000);
    const digest = createHash('sha256').update(content).digest();
    socket.send(type.FileWrite.code, 1, 1, map({ path: 'up.bin', sha256: digest }));
    assert.equal((await socket.on(1)).type, Ack.code);
    let credit = inputWindowBytes;
    for (let at = 0; at < content.length; ) {
      while (credit === 0) {
        const grant = await socket.on(1);
        assert.equal(grant.type, Credit.code);
        credit += Buffer.from(grant.payload).readUInt32BE();
      }
      const piece = content.subarray(at, at + Math.min(credit, payloadBytesMax));
      socket.send(Input.code, 1, 0, piece);
      at += piece.length;
      credit -= piece.length;
    }
    socket.send(InputEof.code, 1, 0);
    const written = fieldsOf(await socket.next(({ type: code }) => code === End.code));
    assert.equal(written.bytes, content.length);

    socket.send(type.FileRead.code, 2, 1, map({ path: 'up.bin', sha256: true }));
    const got: Uint8Array[] = [];
    for (;;) {
      const frame = await socket.on(2);
      if (frame.type === End.code) {
        assert.deepEqual(Buffer.from(Object(fieldsOf(frame).sha256)), digest);
        break;
      }
      if (frame.type !== Output.code) continue;
      got.push(frame.payload);
      socket.send(Credit.code, 2, 0, encodeCredit(frame.payload.length));
    }
    assert.ok(Buffer.concat(got).equals(content));
    const owner = await run(socket, 3, ['stat', '-c', '%U %a', 'up.bin']);
    assert.equal(owner.text, 'user 644\n');
  });

  test('a port that opens is told of, and is reached through the socket', async () => {
    using socket = await open();
    socket.send(type.PortWatch.code, 1, 1, map({}));
    assert.equal((await socket.on(1)).type, Ack.code);
    socket.send(type.ExecStart.code, 2, 1, execStart(serving(3_999)));
    assert.equal((await socket.on(2)).type, Ack.code);
    const record = await socket.on(1);
    assert.ok(Buffer.from(record.payload).includes('port'));
    socket.send(type.PortConnect.code, 3, 1, map({ port: 3_999 }));
    assert.equal((await socket.on(3)).type, Ack.code);
    socket.send(Input.code, 3, 0, Buffer.from('ping'));
    const answer = await socket.next((frame) => frame.channel === 3 && frame.type === Output.code);
    assert.equal(Buffer.from(answer.payload).toString(), 'got ping');
    socket.send(type.PortConnect.code, 4, 1, map({ port: 1 }));
    assert.equal(codeOf(await socket.on(4)), 'connection_refused');
  });

  test('1,000 channels on one socket, beside a command that none of them slows', async () => {
    using socket = await open();
    const count = 1_000;
    for (let number = 1; number <= count; number += 1) {
      socket.send(type.PortWatch.code, number, number, map({}));
      const ack = await socket.on(number);
      assert.deepEqual([ack.type, ack.id], [Ack.code, number]);
    }
    socket.send(type.ExecStart.code, 2_000, 1, execStart(serving(4_001)));
    assert.equal((await socket.on(2_000)).type, Ack.code);
    const opened = new Set<number>();
    while (opened.size < count) {
      const { channel, payload } = await socket.next((frame) => frame.type === Output.code);
      if (Buffer.from(payload).includes(portBytes(4_001))) opened.add(channel);
    }
    assert.equal((await run(socket, 5_000, ['echo', 'still here'])).text, 'still here\n');
    for (let number = 1; number <= count; number += 1) {
      socket.send(ChannelClose.code, number, 0);
      await socket.next((frame) => frame.channel === number && frame.type === ChannelClose.code);
    }
    socket.send(type.PortWatch.code, 1, 1, map({}));
    assert.equal((await socket.next((frame) => frame.id === 1)).type, Ack.code);
  });

  test('R4 a client that grants and does not read is closed with 1013; another one of the same sandbox is not slowed', async () => {
    using slow = await open();
    using other = await open();
    slow.ws.pause();
    for (let channel = 1; channel <= 4; channel += 1) {
      slow.send(type.ExecStart.code, channel, 1, execStart(['sh', '-c', 'exec cat /dev/zero']));
    }
    // Credit that was never earned: the guest goes on filling what nobody reads.
    const grants = setInterval(() => {
      for (let channel = 1; channel <= 4; channel += 1)
        slow.send(Credit.code, channel, 0, encodeCredit(1_048_576));
    }, 5);
    using _grants = { [Symbol.dispose]: () => clearInterval(grants) };
    const echoed = await run(other, 1, ['sh', '-c', 'head -c 200000 /dev/zero | wc -c']);
    assert.equal(echoed.text, '200000\n');
    const closes = await untilMetric(
      /^warmpool_data_closes_total\{code="1013"\} (\d+)$/m,
      (value) => value >= 1,
    );
    assert.equal(closes, 1);
    clearInterval(grants);
    slow.ws.resume();
    assert.equal((await slow.closed).code, 1013);
    // What it had started is abandoned with it.
    await untilGone(other, 'cat');
  });

  test('a client that stops reading holds its windows and no more, and loses nothing', async () => {
    using slow = await open();
    slow.send(type.ExecStart.code, 1, 1, execStart(['sh', '-c', 'seq 1 400000']));
    await slow.next((frame) => frame.type === Ack.code);
    slow.ws.pause();
    using other = await open();
    await settled(other);
    slow.ws.resume();
    let text = '';
    for (;;) {
      const frame = await slow.on(1);
      if (frame.type === ExecExit.code) break;
      text += Buffer.from(frame.payload).toString();
      slow.send(Credit.code, 1, 0, encodeCredit(frame.payload.length));
    }
    assert.equal(text.length, 2_688_895);
    assert.ok(text.endsWith('399999\n400000\n'));
  });

  test('what a client left behind is ended with its socket', async () => {
    using other = await open();
    {
      using leaving = await open();
      leaving.send(type.ExecStart.code, 1, 1, execStart(['sleep', '4242']));
      await leaving.next((frame) => frame.type === Ack.code);
    }
    await untilGone(other, '4242');
  });

  test('A2 A4 only the owner gets in: by key or by a token of this claim, and a foreign sandbox is unknown', async () => {
    const status = async (options: Parameters<typeof refusedUpgrade>[1], url = sandbox.wsUrl) =>
      (await refusedUpgrade(url, { protocols: ['warmpool.v1'], ...options })).status;
    const bearer = (credential: string) => ({ headers: { authorization: `Bearer ${credential}` } });
    assert.equal(await status({}), 401);
    assert.equal(await status(bearer('wp_wrong')), 401);
    assert.equal(await status(bearer(`${sandbox.dataToken}x`)), 401);
    assert.equal(await status({}, `${sandbox.wsUrl}?token=${acme.key}`), 401);
    assert.equal(await status(bearer(watcher.key)), 403);
    assert.equal(await status({ ...bearer(sandbox.dataToken), origin: 'https://evil.example' }), 403);
    assert.equal(await status({ ...bearer(sandbox.dataToken), protocols: [] }), 400);
    const foreign = await refusedUpgrade(sandbox.wsUrl, { protocols: ['warmpool.v1'], ...bearer(rival.key) });
    const unknownUrl = sandbox.wsUrl.replace(sandbox.id, `${sandbox.id.slice(0, 2)}${'0'.repeat(18)}`);
    const unknown = await refusedUpgrade(unknownUrl, { protocols: ['warmpool.v1'], ...bearer(rival.key) });
    assert.equal(foreign.status, 404);
    assert.equal(
      foreign.body.replaceAll(sandbox.id, 'ID'),
      unknown.body.replaceAll(/0[0-9]0{18}|1[0-5]0{18}/g, 'ID'),
    );
    const another = await client.create('base');
    assert.equal(await status(bearer(another.dataToken)), 403);
    await client.delete(another.id);
    assert.equal(await status(bearer(another.dataToken), another.wsUrl), 404);

    for (const options of [
      { token: acme.key },
      {
        protocols: ['warmpool.v1', `warmpool.token.${sandbox.dataToken}`],
        origin: 'https://app.example.com',
      },
      { protocols: ['warmpool.v1', `warmpool.token.${acme.key}`] },
    ]) {
      using socket = await RawClient.open(sandbox.wsUrl, options);
      await socket.ready();
      assert.equal(socket.ws.protocol, 'warmpool.v1');
    }
    using byQuery = await RawClient.open(`${sandbox.wsUrl}?token=${sandbox.dataToken}`);
    await byQuery.ready();
    const log = JSON.stringify(service.lines) + service.stderr;
    for (const secret of [acme.key, sandbox.dataToken])
      assert.ok(!log.includes(secret), 'A17 a secret is in the log');
  });

  test('a deleted sandbox tells its sockets why, and closes them with 1001', async () => {
    const short = await client.create('base');
    using socket = await open(short);
    socket.send(type.ExecStart.code, 1, 1, execStart(['sleep', '100']));
    await socket.next((frame) => frame.type === Ack.code);
    await client.delete(short.id);
    const { code, reason } = await socket.closed;
    assert.deepEqual([code, reason], [1001, 'deleted']);
    const notice = socket.frames.find((frame) => frame.type === type.LeaseNotice.code);
    assert.deepEqual(notice && parseLeaseNotice(notice.payload), {
      value: { kind: 'ending', reason: 'deleted' },
    });
  });

  test('a lease that runs out is told of before and at its end; use keeps it, an idle socket does not', async () => {
    const { frames, end, lastedMs } = await expiring;
    assert.deepEqual(end, { code: 1001, reason: 'lease_expired' });
    const kinds = frames
      .filter((frame) => frame.type === type.LeaseNotice.code)
      .map((frame) => fieldsOf(frame).kind);
    assert.deepEqual(kinds.slice(-2), ['expiring', 'ending']);
    // Of uses within a tenth of its ttl only the first renews it.
    assert.ok(lastedMs > usedMs + 0.9 * leaseMs, `${lastedMs}`);
  });

  /** Lives on what a command prints, for longer than its lease lasts, and then on nothing. */
  async function expires() {
    const short = await client.create('base', { timeoutMs: leaseMs });
    using socket = await open(short);
    const beganMs = performance.now();
    const seconds = usedMs / 1_000;
    await run(socket, 1, ['sh', '-c', `for i in $(seq ${seconds}); do echo $i; sleep 1; done; echo last`]);
    const end = await socket.closed;
    return { frames: socket.frames, end, lastedMs: performance.now() - beganMs };
  }

  test('a renewal over gRPC is told to a socket that was warned', async () => {
    const { lease, kept } = await renewed;
    assert.ok(Object(lease).remaining_ms > 550_000);
    assert.ok(Number(kept.remaining_ms) > 1_150_000);
  });

  async function renews() {
    const short = await client.create('base', { timeoutMs: renewedLeaseMs });
    using socket = await open(short);
    const notice = (kind: string) =>
      socket.next((frame) => frame.type === type.LeaseNotice.code && fieldsOf(frame).kind === kind);
    await notice('expiring');
    await client.keepAlive(short.id, 600_000);
    const { lease } = fieldsOf(await notice('renewed'));
    socket.send(type.KeepAlive.code, 0, 1, map({ ttl_ms: 1_200_000 }));
    const kept = fieldsOf(await socket.next(({ id }) => id === 1));
    await client.delete(short.id);
    return { lease, kept };
  }

  test('SIGTERM closes idle sockets with 1001 and lets channels in progress end', async () => {
    await using own = await TestService.start({
      pools: [{ name: 'base', size: { minReady: 1 } }],
      env: { WARMPOOL_RUNTIME: 'bubblewrap' },
    });
    using caller = connect(own.grpc);
    const short = await caller.create('base');
    using idle = await open(short);
    using busy = await open(short);
    busy.send(type.ExecStart.code, 1, 1, execStart(['sh', '-c', 'sleep 0.5; echo done']));
    await busy.next((frame) => frame.type === Ack.code);
    own.process.kill('SIGTERM');
    assert.deepEqual(await idle.closed, { code: 1001, reason: 'node_drained' });
    const output = await busy.next((frame) => frame.type === Output.code);
    assert.equal(Buffer.from(output.payload).toString(), 'done\n');
    assert.equal((await busy.closed).code, 1001);
    assert.equal((await own.exited).code, 0);
  });

  async function untilGone(socket: RawClient, name: string): Promise<void> {
    let number = 9_000;
    let seen = '';
    await until(
      async () => {
        number += 1;
        const { text } = await run(socket, number, ['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" " "']);
        seen = text;
        return !text.replace(/cat \/proc\S* ?/g, '').includes(name);
      },
      () => `${name} is still among: ${seen}`,
    );
  }

  async function untilMetric(pattern: RegExp, isReached: (value: number) => boolean): Promise<number> {
    let value = Number.NaN;
    await until(
      async () => {
        const response = await fetch(`${service.http}/metrics`);
        value = Number(pattern.exec(await response.text())?.[1] ?? 0);
        return isReached(value);
      },
      () => `${pattern} is ${value}`,
    );
    return value;
  }
});

/** Takes one connection, answers what comes with `got …`, and closes. Perl is in every Debian. */
function serving(port: number): readonly string[] {
  const program = `use IO::Socket::INET;
    my $s = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => ${port}, Listen => 1) or die;
    my $c = $s->accept; sysread($c, my $got, 9); print $c "got $got"; close $c;`;
  return ['perl', '-e', program];
}

/** As MessagePack has it in a record. */
function portBytes(port: number): Buffer {
  return Buffer.from([0xcd, port >> 8, port & 0xff]);
}
