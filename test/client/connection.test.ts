import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { parseCredit } from '../../protocol/control-messages.ts';
import {
  encodeExecAttached,
  encodeExecExit,
  encodeExecStart,
  encodeExecStarted,
  parseExecAttach,
} from '../../protocol/exec-messages.ts';
import { noPayload } from '../../protocol/frame.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import {
  encodeLease,
  encodeLeaseNotice,
  encodeRenewedToken,
  parseKeepAlive,
} from '../../protocol/session-messages.ts';
import { type ConnectionOptions, type ConnectionState, DataConnection } from '../../src/client/connection.ts';
import { dialNode } from '../../src/client/node/dial-node.ts';
import { parsed } from '../support/parsed.ts';
import { within } from '../support/within.ts';
import { Collector, credit } from './collector.ts';
import { Responder, readyDefault } from './responder.ts';

const quick = { firstPauseMs: 1, pauseMsMax: 5 };
const opened: AsyncDisposable[] = [];
after(async () => {
  for (const each of opened.reverse()) await each[Symbol.asyncDispose]();
});

async function start(options: Partial<ConnectionOptions> = {}) {
  const node = await Responder.start();
  const connection = new DataConnection({ dial: dialNode }, { url: node.url, reconnect: quick, ...options });
  opened.push(node, { [Symbol.asyncDispose]: async () => connection.close() });
  return { node, connection };
}

const detached = parsed(encodeExecStart({ argv: ['sh'], detach: true, replay: 4_096 }));
const onTerminal = parsed(encodeExecStart({ argv: ['sh'], detach: true, tty: { cols: 80, rows: 24 } }));
const plain = parsed(encodeExecStart({ argv: ['sh'] }));

test('it connects at the first use, with the token in a header, and knows the lease', async () => {
  const { node, connection } = await start({ token: 'secret' });
  assert.equal(connection.state.state, 'idle');
  await connection.ready();
  assert.equal((await node.connection(0)).authorization, 'Bearer secret');
  assert.equal(connection.state.state, 'connected');
  const { remainingMs = 0, ttlMs } = connection.lease ?? {};
  assert.ok(remainingMs <= 300_000 && remainingMs > 200_000);
  assert.equal(ttlMs, 300_000);
});

test('a refused upgrade is an error with a code, and the first one is not tried again', async () => {
  const codes: Record<number, string> = {
    401: 'unauthenticated',
    403: 'forbidden',
    404: 'sandbox_not_found',
    409: 'sandbox_ended',
    429: 'too_many_connections',
  };
  for (const [status, code] of Object.entries(codes)) {
    const { node, connection } = await start();
    node.refusals = [Number(status)];
    await assert.rejects(connection.ready(), { name: 'WarmpoolClientError', code });
    assert.equal(connection.state.state, 'closed');
    assert.match(await connection.closed, new RegExp(`refused with ${status}`));
  }
});

test('a node that is not there is unreachable; one that says not now, or breaks off, is asked again', async () => {
  const nobody = new DataConnection({ dial: dialNode }, { url: 'ws://127.0.0.1:1/x' });
  await assert.rejects(nobody.ready(), { code: 'unreachable' });
  const { node, connection } = await start();
  node.refusals = [503, 503];
  node.cutsBeforeReady = 2;
  await connection.ready();
  assert.equal(node.connections.length, 1);
});

test('waiting for the connection ends when its signal aborts', async () => {
  const { node, connection } = await start({ reconnect: { firstPauseMs: 60_000, pauseMsMax: 60_000 } });
  node.refusals = [503];
  const reason = new Error('enough');
  const giveUp = new AbortController();
  connection.onState(({ state }) => {
    if (state === 'reconnecting') giveUp.abort(reason);
  });
  await assert.rejects(connection.ready(giveUp.signal), reason);
});

test('a channel gets its frames in order, and credit goes both ways', async () => {
  const { node, connection } = await start();
  await connection.ready();
  const peer = await node.connection(0);
  const output = new Collector();
  const channel = connection.open(messageTypes.ExecStart.code, plain, output);
  const { channel: number } = await peer.next(messageTypes.ExecStart);
  assert.equal(channel.inputCredit, 0);
  peer.ack(number, encodeExecStarted({ pid: 7, process: 1 }));
  await output.has(messageTypes.Ack);
  assert.equal(channel.inputCredit, 100);
  channel.send(messageTypes.Input.code, new Uint8Array(100));
  assert.throws(() => channel.send(messageTypes.Input.code, new Uint8Array(1)), /credit of 0/);
  assert.equal((await peer.next(messageTypes.Input)).payload.length, 100);
  peer.credit(number, 60);
  peer.credit(number, 60);
  await output.until(() => output.names.filter((name) => name === 'Credit').length === 2);
  assert.equal(channel.inputCredit, 100, 'never above the window');

  peer.output(number, new Uint8Array(1_000));
  await output.has(messageTypes.Output);
  channel.send(...credit(400));
  assert.deepEqual(parseCredit((await peer.next(messageTypes.Credit)).payload), { value: 400 });
  peer.output(number, new Uint8Array(400));
  peer.send(messageTypes.ExecExit.code, number, 0, exit(0));
  await output.ended();
  assert.deepEqual(output.names, ['Ack', 'Credit', 'Credit', 'Output', 'Output', 'ExecExit']);
  assert.equal(connection.state.state, 'connected');
});

test('a closed channel gets nothing but its terminal frame, and its place is free after it', async () => {
  const { node, connection } = await start();
  await connection.ready();
  const peer = await node.connection(0);
  const outputs = [new Collector(), new Collector(), new Collector(), new Collector()];
  const channels = outputs.map((output) => connection.open(messageTypes.ExecStart.code, plain, output));
  assert.throws(() => connection.open(messageTypes.ExecStart.code, plain, new Collector()), {
    code: 'limit_exceeded',
  });
  const [first] = channels;
  const number = (await peer.next(messageTypes.ExecStart)).channel;
  for (let i = 1; i < 4; i += 1) await peer.next(messageTypes.ExecStart);
  first?.close();
  first?.close();
  await peer.next(messageTypes.ChannelClose);
  peer.ack(number, encodeExecStarted({ pid: 7, process: 1 }));
  peer.output(number, 'too late');
  peer.send(messageTypes.ChannelClose.code, number, 0);
  await outputs[0]?.ended();
  assert.deepEqual(outputs[0]?.names, ['ChannelClose']);
  connection.open(messageTypes.ExecStart.code, plain, new Collector());
});

test('what breaks the protocol ends the connection with 4400, and reaches nobody', async () => {
  const cases: Record<string, (peer: Awaited<ReturnType<Responder['connection']>>, channel: number) => void> =
    {
      'a text message': (peer) => peer.sendText('hello'),
      'an unknown type': (peer, channel) => peer.send(0x7f, channel, 0),
      'the wrong direction': (peer, channel) => peer.send(messageTypes.Input.code, channel, 0),
      'a channel that is not open': (peer) => peer.output(99, 'x'),
      'output before the answer': (peer, channel) => peer.output(channel, 'x'),
      'an exit before the answer': (peer, channel) =>
        peer.send(messageTypes.ExecExit.code, channel, 0, exit(0)),
      'an answer twice': (peer, channel) => {
        peer.ack(channel, encodeExecStarted({ pid: 7, process: 1 }));
        peer.ack(channel, encodeExecStarted({ pid: 7, process: 1 }));
      },
      'more output than granted': (peer, channel) => {
        peer.ack(channel, encodeExecStarted({ pid: 7, process: 1, window: 10 }));
        peer.output(channel, 'eleven byte');
      },
      'End of a process': (peer, channel) => peer.send(messageTypes.End.code, channel, 0, emptyMap),
      'an answer to nothing': (peer) => peer.ack(0, emptyMap, 77),
      'a second Ready': (peer) => peer.send(messageTypes.Ready.code, 0, 0, emptyMap),
    };
  for (const [name, breakIt] of Object.entries(cases)) {
    const { node, connection } = await start();
    await connection.ready();
    const peer = await node.connection(0);
    const output = new Collector();
    connection.open(messageTypes.ExecStart.code, plain, output);
    const { channel } = await peer.next(messageTypes.ExecStart);
    breakIt(peer, channel);
    const error = await output.isLost();
    assert.equal((error as { code?: string }).code, 'protocol_error', name);
    assert.equal((await peer.closed).code, 4400, name);
    assert.doesNotMatch(output.names.join(), /Output|ExecExit|End/, name);
    assert.equal(connection.state.state, 'closed', name);
  }
});

test('nothing but Ready may come first', async () => {
  const { node, connection } = await start();
  node.ready = { ...readyDefault, channelsMax: 0 };
  await assert.rejects(connection.ready(), { code: 'protocol_error', message: /channels_max/ });
});

test('each close code has its error; those that pass are followed by another connection', async () => {
  const final: [number, string, string?][] = [
    [1003, 'protocol_error'],
    [1009, 'protocol_error'],
    [4400, 'protocol_error'],
    [4401, 'unauthenticated'],
    [1000, 'closed'],
    [1001, 'sandbox_ended', 'lease_expired'],
  ];
  for (const [status, code, reason] of final) {
    const { node, connection } = await start();
    await connection.ready();
    const peer = await node.connection(0);
    if (reason !== undefined) {
      peer.send(messageTypes.LeaseNotice.code, 0, 0, encodeLeaseNotice({ kind: 'ending', reason }));
    }
    peer.close(status, 'because');
    await connection.closed;
    await assert.rejects(connection.ready(), (error: { code?: string; details?: object }) => {
      assert.equal(error.code, code, String(status));
      if (reason !== undefined) assert.deepEqual(error.details, { status, reason });
      return true;
    });
  }
  for (const status of [1001, 1011, 1012, 1013]) {
    const { node, connection } = await start();
    await connection.ready();
    (await node.connection(0)).close(status);
    await node.connection(1);
  }
});

test('a cut connection is made again with growing pauses, and gives up in the end', async () => {
  const cut = async (giveUpAfterMs: number) => {
    const { node, connection } = await start({
      reconnect: { firstPauseMs: 4, pauseMsMax: 16, giveUpAfterMs },
    });
    await connection.ready();
    node.refusals = Array.from({ length: 1_000 }, () => 503);
    (await node.connection(0)).cut();
    return connection;
  };
  const persistent = await cut(60_000);
  const pauses: number[] = [];
  const enough = new Promise<void>((resolve) => {
    persistent.onState((state) => {
      if (state.state === 'reconnecting') pauses.push(state.pauseMs);
      if (pauses.length > 5) resolve();
    });
  });
  await within(enough, () => `six pauses; there were ${pauses.join()}`);
  persistent.close();
  assert.ok((pauses[0] ?? 0) <= 4);
  for (const [index, pause] of pauses.entries()) {
    const whole = Math.min(4 * 2 ** index, 16);
    assert.ok(pause <= whole && pause >= whole / 2, `pause ${index}: ${pause}`);
  }
  const impatient = await cut(50);
  await within(impatient.closed, () => `the end; the connection is ${impatient.state.state}`);
  await assert.rejects(impatient.ready(), { code: 'unavailable' });
});

test('what does not survive a cut fails with a clear error; what waited for a connection goes on', async () => {
  const { node, connection } = await start();
  await connection.ready();
  const peer = await node.connection(0);
  const output = new Collector();
  connection.open(messageTypes.ExecStart.code, plain, output);
  const { channel } = await peer.next(messageTypes.ExecStart);
  peer.ack(channel, encodeExecStarted({ pid: 7, process: 1 }));
  const asked = connection.request(messageTypes.Stats.code, emptyMap);
  await peer.next(messageTypes.Stats);
  peer.cut();
  const error = await output.isLost();
  assert.equal((error as { code?: string }).code, 'connection_lost');
  assert.throws(() => connection.open(messageTypes.ExecStart.code, plain, output), {
    code: 'connection_lost',
  });
  const second = await node.connection(1);
  const again = await second.next(messageTypes.Stats);
  second.ack(0, emptyMap, again.id);
  assert.deepEqual(await asked, Buffer.from(emptyMap));
});

test('I12 a detached process is attached again where its output broke off: no gap, no duplicate', async () => {
  const { node, connection } = await start();
  await connection.ready();
  const first = await node.connection(0);
  const output = new Collector();
  const channel = connection.open(messageTypes.ExecStart.code, detached, output, { windowBytes: 500 });
  const { channel: number } = await first.next(messageTypes.ExecStart);
  first.ack(number, encodeExecStarted({ pid: 7, process: 3 }));
  first.output(number, 'abc');
  first.send(messageTypes.ErrorOutput.code, number, 0, Buffer.from('!!'));
  await output.has(messageTypes.ErrorOutput);
  first.cut();

  const second = await node.connection(1);
  const attach = await second.next(messageTypes.ExecAttach);
  assert.deepEqual(parseExecAttach(attach.payload), { value: { process: 3, offset: 5, window: 500 } });
  second.ack(attach.channel, encodeExecAttached({ pid: 7, process: 3, offset: 5, input: 0, tty: false }));
  second.output(attach.channel, 'def');
  await output.until(() => output.text === 'abcdef');
  // What was held before the cut is granted to nobody: the new window is whole already.
  channel.send(...credit(5));
  channel.send(...credit(3));
  assert.deepEqual(parseCredit((await second.next(messageTypes.Credit)).payload), { value: 3 });
  second.send(messageTypes.ExecExit.code, attach.channel, 0, exit(0));
  await output.ended();
  assert.deepEqual(output.names, ['Ack', 'Output', 'ErrorOutput', 'Credit', 'Output', 'ExecExit']);
});

test('input that the process had not got is sent again, once, and signals and sizes wait', async () => {
  const { node, connection } = await start();
  await connection.ready();
  const first = await node.connection(0);
  const output = new Collector();
  const channel = connection.open(messageTypes.ExecStart.code, onTerminal, output);
  const { channel: number } = await first.next(messageTypes.ExecStart);
  first.ack(number, encodeExecStarted({ pid: 7, process: 3 }));
  await output.has(messageTypes.Ack);
  for (const text of ['ab', 'cd', 'ef']) channel.send(messageTypes.Input.code, Buffer.from(text));
  await first.next(messageTypes.Input);
  first.credit(number, 1);
  await output.has(messageTypes.Credit);
  first.cut();
  await stateIs(connection, 'reconnecting');
  assert.equal(channel.inputCredit, 0);
  channel.send(messageTypes.ExecResize.code, Buffer.from('old'));
  channel.send(messageTypes.ExecSignal.code, Buffer.from('signal'));
  channel.send(messageTypes.ExecResize.code, Buffer.from('new'));

  const second = await node.connection(1);
  const attach = await second.next(messageTypes.ExecAttach);
  second.ack(attach.channel, encodeExecAttached({ pid: 7, process: 3, offset: 0, input: 3, tty: true }));
  assert.equal(String((await second.next(messageTypes.Input)).payload), 'def');
  assert.equal(String((await second.next(messageTypes.ExecSignal)).payload), 'signal');
  assert.equal(String((await second.next(messageTypes.ExecResize)).payload), 'new');
  assert.equal(channel.inputCredit, 97);
});

test('the end of a pipe is told again, the end-of-file character of a terminal is not', async () => {
  for (const payload of [detached, onTerminal]) {
    const { node, connection } = await start();
    await connection.ready();
    const first = await node.connection(0);
    const output = new Collector();
    const channel = connection.open(messageTypes.ExecStart.code, payload, output);
    const { channel: number } = await first.next(messageTypes.ExecStart);
    first.ack(number, encodeExecStarted({ pid: 7, process: 3 }));
    await output.has(messageTypes.Ack);
    channel.send(messageTypes.InputEof.code, noPayload);
    await first.next(messageTypes.InputEof);
    first.cut();
    const second = await node.connection(1);
    const attach = await second.next(messageTypes.ExecAttach);
    second.ack(
      attach.channel,
      encodeExecAttached({ pid: 7, process: 3, offset: 0, tty: payload === onTerminal }),
    );
    if (payload === detached) await second.next(messageTypes.InputEof);
    second.send(messageTypes.ExecExit.code, attach.channel, 0, exit(0));
    await output.ended();
    assert.deepEqual(second.unread, []);
  }
});

test('I12 output that is not kept any more ends the stream with its offset, and an unknown end is said to be one', async () => {
  for (const [answer, code] of [
    [{ pid: 7, process: 3, offset: 900, tty: false }, 'output_lost'],
    [null, 'exit_unknown'],
  ] as const) {
    const { node, connection } = await start();
    await connection.ready();
    const first = await node.connection(0);
    const output = new Collector();
    connection.open(messageTypes.ExecStart.code, detached, output);
    const { channel: number } = await first.next(messageTypes.ExecStart);
    first.ack(number, encodeExecStarted({ pid: 7, process: 3 }));
    first.output(number, 'abc');
    await output.has(messageTypes.Output);
    first.cut();
    const second = await node.connection(1);
    const attach = await second.next(messageTypes.ExecAttach);
    if (answer === null) second.error(attach.channel, 'process_unknown');
    else second.ack(attach.channel, encodeExecAttached(answer));
    const error = (await output.isLost()) as Error & { code: string; details: object };
    assert.equal(error.code, code);
    if (answer !== null) {
      assert.deepEqual(error.details, { process: 3, offset: 3, resumesAt: 900 });
      await second.next(messageTypes.ChannelClose);
    }
    assert.equal(connection.state.state, 'connected');
  }
});

test('a process survives any number of cuts, also one in the middle of attaching', async () => {
  const { node, connection } = await start();
  await connection.ready();
  const output = new Collector();
  connection.open(messageTypes.ExecStart.code, detached, output);
  let peer = await node.connection(0);
  const { channel: number } = await peer.next(messageTypes.ExecStart);
  peer.ack(number, encodeExecStarted({ pid: 7, process: 3 }));
  await output.has(messageTypes.Ack);
  peer.cut();
  (await node.connection(1)).cut();
  peer = await node.connection(2);
  const { channel, payload } = await peer.next(messageTypes.ExecAttach);
  assert.deepEqual(parseExecAttach(payload), { value: { process: 3, offset: 0 } });
  peer.ack(channel, encodeExecAttached({ pid: 7, process: 3, offset: 0, tty: false }));
  peer.output(channel, 'here');
  await output.until(() => output.text === 'here');
});

test('closing a channel while the connection is away ends it at once; closing the connection ends everything', async () => {
  const { node, connection } = await start({ reconnect: { firstPauseMs: 60_000, pauseMsMax: 60_000 } });
  await connection.ready();
  const peer = await node.connection(0);
  const outputs = [new Collector(), new Collector()];
  const channels = outputs.map((output) => connection.open(messageTypes.ExecStart.code, detached, output));
  for (let i = 1; i <= 2; i += 1) {
    const { channel } = await peer.next(messageTypes.ExecStart);
    peer.ack(channel, encodeExecStarted({ pid: 7, process: i }));
  }
  await outputs[1]?.has(messageTypes.Ack);
  peer.cut();
  await stateIs(connection, 'reconnecting');
  channels[0]?.close();
  await outputs[0]?.ended();
  assert.deepEqual(outputs[0]?.names, ['Ack', 'ChannelClose']);
  connection.close();
  const error = await outputs[1]?.isLost();
  assert.equal((error as { code?: string } | undefined)?.code, 'closed');
  await assert.rejects(connection.ready(), { code: 'closed' });
  assert.equal(await connection.closed, 'the connection was closed');
});

test('requests over the limit of the protocol wait for their turn', async () => {
  const { node, connection } = await start();
  await connection.ready();
  const peer = await node.connection(0);
  const asked = Array.from({ length: 70 }, () => connection.request(messageTypes.PortList.code, emptyMap));
  const first = await peer.next(messageTypes.PortList);
  for (let i = 1; i < 64; i += 1) await peer.next(messageTypes.PortList);
  assert.equal(peer.unread.length, 0);
  peer.ack(0, emptyMap, first.id);
  const { id } = await peer.next(messageTypes.PortList);
  peer.error(0, 'not_ready', id);
  assert.equal((await Promise.allSettled(asked.slice(0, 1)))[0]?.status, 'fulfilled');
  await assert.rejects(asked[64] ?? Promise.resolve(), { name: 'ResponderError', code: 'not_ready' });
  connection.close();
  await Promise.allSettled(asked);
});

test('keepalives, notices and the round trip', async () => {
  const { node, connection } = await start();
  await connection.ready();
  const peer = await node.connection(0);
  const renewed = connection.keepAlive(5_000);
  const { id, payload } = await peer.next(messageTypes.KeepAlive);
  assert.deepEqual(parseKeepAlive(payload), { value: { ttlMs: 5_000 } });
  const lease = { remainingMs: 5_000, ttlMs: 5_000, endOfLifeMs: 9_000 };
  peer.ack(0, encodeLease(lease), id);
  assert.deepEqual(await renewed, lease);
  const noticed = new Promise((resolve) => connection.onLease(resolve));
  const notice = { kind: 'expiring', lease: { ...lease, remainingMs: 10 } } as const;
  peer.send(messageTypes.LeaseNotice.code, 0, 0, encodeLeaseNotice(notice));
  assert.deepEqual(await noticed, notice);
  assert.ok((connection.lease?.remainingMs ?? 99) <= 10);
  assert.equal(connection.latencyMs, null);
  assert.ok((await connection.ping()) > 0);
  assert.ok((connection.latencyMs ?? 0) > 0);
});

test('the token is renewed, and the next connection uses the new one', async () => {
  const { node, connection } = await start({ token: 'old' });
  await connection.ready();
  const first = await node.connection(0);
  const { id } = await first.next(messageTypes.TokenRenew);
  first.ack(0, encodeRenewedToken({ token: 'new', expiresInMs: 60_000 }), id);
  await connection.ping();
  first.cut();
  assert.equal((await node.connection(1)).authorization, 'Bearer new');
});

test('a connection on which nothing is heard for two periods is given up, and made again', async () => {
  const { node, connection } = await start();
  node.ready = { ...readyDefault, pingMs: 100 };
  await connection.ready();
  const first = await node.connection(0);
  first.freeze();
  await node.connection(1);
});

function exit(exitCode: number): Uint8Array {
  return encodeExecExit({ exitCode, signal: null, timedOut: false, durationUs: 5 });
}

function stateIs(connection: DataConnection, wanted: ConnectionState['state']): Promise<void> {
  const reached = new Promise<void>((resolve) => {
    if (connection.state.state === wanted) return resolve();
    const stop = connection.onState(({ state }) => {
      if (state !== wanted) return;
      stop();
      resolve();
    });
  });
  return within(reached, () => `${wanted}; the connection is ${connection.state.state}`);
}
