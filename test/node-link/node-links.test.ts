import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { WebSocket } from 'ws';
import { encodeCredit } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { emptyMap, encodeMap } from '../../protocol/map-message.ts';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { isWarmpoolError, type WarmpoolError } from '../../src/domain/errors.ts';
import type { NodeLinks } from '../../src/node-link/node-links.ts';
import { Certificate, noOpenssl } from '../support/certificate.ts';
import { until } from '../support/until.ts';
import { linksTo, receiver, record } from './links-fixture.ts';
import { ScriptedNode } from './scripted-node.ts';

async function refused(links: NodeLinks): Promise<WarmpoolError> {
  const error: unknown = await links.enter(record).then(
    () => null,
    (failure: unknown) => failure,
  );
  assert.ok(isWarmpoolError(error), String(error));
  return error;
}

test('D7 what a node refuses a sandbox with comes back as the same error, and anything else as an unreachable node', async () => {
  await using node = await ScriptedNode.start();
  const { links, log } = linksTo(node);
  const refusals: [number, string, string, RegExp][] = [
    [409, '{"error":{"code":"CLAIM_CONFLICT","message":"bound"}}', 'CLAIM_CONFLICT', /^bound$/],
    [
      404,
      '{"error":{"code":"SANDBOX_NOT_FOUND","message":"gone\\u0007"}}',
      'SANDBOX_NOT_FOUND',
      /^gone\ufffd$/,
    ],
    [503, '{"error":{"code":"DRAINING","message":"drains"}}', 'NODE_UNREACHABLE', /\(503\): drains/],
    [
      401,
      '{"error":{"code":"UNAUTHENTICATED","message":"no"}}',
      'NODE_UNREACHABLE',
      /same key \(WARMPOOL_DATA_KEY\)/,
    ],
    [502, '<html>Bad Gateway</html>', 'NODE_UNREACHABLE', /\(502\)$/],
    [302, '', 'NODE_UNREACHABLE', /\(302\)$/],
    [409, '{"error":{"code":"NO_SUCH_CODE","message":7}}', 'NODE_UNREACHABLE', /\(409\)$/],
  ];
  for (const [status, body, code, says] of refusals) {
    node.refusal = { status, body };
    const error = await refused(links);
    assert.equal(error.code, code, body);
    assert.match(error.message, says);
  }
  assert.equal(log.lines.length, 1);
  assert.equal(links.size, 0);
  assert.equal(node.tokens[0], `Bearer alice.${'c'.repeat(20)}`);
});

test('a connection that breaks before Ready is tried once more, and then is an unreachable node', async () => {
  await using node = await ScriptedNode.start();
  const { links } = linksTo(node);
  node.onSocket = (socket) => socket.terminate();
  const use = await links.enter(record);
  assert.equal(node.sockets.length, 2);
  use.guest.close();

  node.onSocket = (socket) => {
    node.onSocket = (second) => second.close(1011, 'link_lost');
    socket.terminate();
  };
  const error = await refused(links);
  assert.equal(error.code, 'NODE_UNREACHABLE');
  assert.match(error.message, /1011, "link_lost"/);
});

test('uses have links of their own up to eight, share from then on, and leave them to the next', async () => {
  await using node = await ScriptedNode.start();
  const { clock, links } = linksTo(node);
  const uses = await Promise.all(Array.from({ length: 20 }, () => links.enter(record)));
  assert.equal(node.sockets.length, 8);
  assert.equal(links.size, 8);
  for (const use of uses) use.leave();
  const again = await links.enter(record);
  assert.equal(node.sockets.length, 8);
  // Whoever leaves twice leaves once.
  again.leave();
  again.leave();
  clock.pass(10_000);
  await until(() => links.size === 0, 'the idle links to be closed');
  await until(() => node.sockets.every(({ readyState }) => readyState === 3), 'their sockets to be closed');
});

test('a node that is silent for two ping periods is given up, and whoever waits is told', async () => {
  await using node = await ScriptedNode.start();
  const { clock, links } = linksTo(node);
  const { guest, lost } = await links.enter(record);
  let lossOf: Error | null = null;
  guest.open(type.FileStat.code, new Uint8Array(), { ...receiver, onLost: (error) => (lossOf = error) });
  const asked = guest.request(type.Stats.code, new Uint8Array());
  asked.catch(() => {});
  for (let period = 0; period < 3; period += 1) clock.pass(node.pingMs);
  assert.match(await guest.closed, /two ping periods/);
  assert.match(String(lossOf), /two ping periods/);
  await assert.rejects(asked, /two ping periods/);
  assert.deepEqual(lost(), { reason: 'link_lost', failed: true });
  assert.throws(() => guest.open(type.FileStat.code, new Uint8Array(), receiver), /two ping periods/);
});

test('a node that breaks the protocol is cut off', async () => {
  await using node = await ScriptedNode.start();
  const { links } = linksTo(node);
  const { guest } = await links.enter(record);
  const [socket] = node.sockets;
  assert.ok(socket);
  node.send(socket, { type: type.Output.code, channel: 77, id: 0, payload: new Uint8Array(1) });
  assert.match(await guest.closed, /broke the protocol: Output on a channel that is not open/);
});

test('G2 answers that are not what they should be end the connection, and nothing else', async () => {
  await using node = await ScriptedNode.start();
  const { links, log } = linksTo(node);
  const started = encodeMap({ pid: 7, process: 1 });
  const garbage = Uint8Array.of(0xc1);
  assert.ok('value' in started);
  const command = { argv: ['true'], env: {}, cwd: '/', user: '', stdin: false, timeoutMs: 0 };
  const output = { onOutput() {} };

  node.onFrame = ({ channel }, socket) =>
    node.send(socket, { type: type.Ack.code, channel, id: 0, payload: garbage });
  const first = await links.enter(record);
  await assert.rejects(first.guest.spawn(command, output), /broke the protocol: Ack/);

  node.onFrame = ({ channel }, socket) => {
    node.send(socket, { type: type.Ack.code, channel, id: 0, payload: started.value });
    node.send(socket, { type: type.ExecExit.code, channel, id: 0, payload: garbage });
  };
  const second = await links.enter(record);
  const process = await second.guest.spawn(command, output);
  await assert.rejects(process.exited, /broke the protocol: ExecExit/);

  node.onFrame = ({ channel }, socket) =>
    node.send(socket, { type: type.Ack.code, channel, id: 0, payload: started.value });
  const third = await links.enter(record);
  let isLost = false;
  const failing = () => {
    throw new Error('a mistake of ours');
  };
  third.guest.open(type.ExecStart.code, new Uint8Array(), { onFrame: failing, onLost: failing });
  const told = { ...receiver, onLost: () => (isLost = true) };
  third.guest.open(type.ExecStart.code, new Uint8Array(), told);
  assert.match(await third.guest.closed, /a receiver of output failed/);
  assert.ok(isLost);
  assert.equal(log.lines.length, 2);
});

test('a socket is not kept whose node breaks the protocol in the breath of the upgrade', async () => {
  await using node = await ScriptedNode.start();
  const { links } = linksTo(node);
  const breaks = (socket: WebSocket) => socket.send('text');
  node.onSocket = (socket) => {
    node.onSocket = breaks;
    breaks(socket);
  };
  node.corked = true;
  const error = await refused(links);
  assert.match(error.message, /a text message/);
  await until(() => node.sockets.every(({ readyState }) => readyState === 3), 'both sockets to be closed');
});

test('a node cannot ask for pings that a timer has no count for', async () => {
  await using node = await ScriptedNode.start();
  node.pingMs = 0xffff_ffff;
  const { clock, links } = linksTo(node);
  const { guest } = await links.enter(record);
  assert.deepEqual(
    [...clock.waiting.keys()].filter((delayMs) => delayMs > 10_000),
    [60_000],
  );
  guest.close();
});

test('credit beyond what came is not passed on', async () => {
  await using node = await ScriptedNode.start();
  const { links } = linksTo(node);
  const { guest } = await links.enter(record);
  node.onFrame = ({ type: code, channel }, socket) => {
    if (code !== type.PortConnect.code) return;
    node.send(socket, { type: type.Ack.code, channel, id: 0, payload: emptyMap });
    node.send(socket, { type: type.Output.code, channel, id: 0, payload: new Uint8Array(3) });
  };
  const frames: Frame[] = [];
  const channel = guest.open(type.PortConnect.code, new Uint8Array(), {
    ...receiver,
    onFrame: (frame) => frames.push(frame),
  });
  channel.send(type.Credit.code, encodeCredit(1_000));
  await until(() => frames.some((frame) => frame.type === type.Output.code), 'the output');
  channel.send(type.Credit.code, encodeCredit(1_000));
  channel.send(type.Credit.code, encodeCredit(1_000));
  channel.close();
  await until(() => node.frames.some((frame) => frame.type === type.ChannelClose.code), 'the close');
  const grants = node.frames.filter((frame) => frame.type === type.Credit.code);
  assert.deepEqual(
    grants.map(({ payload }) => Buffer.from(payload)),
    [Buffer.from(encodeCredit(3))],
  );
});

test('a node by wss is one whose certificate the configured authority has signed', {
  skip: noOpenssl,
}, async () => {
  using certificate = new Certificate();
  const [key, cert] = [certificate.keyFile, certificate.certFile].map((path) => readFileSync(path));
  assert.ok(key && cert);
  await using node = await ScriptedNode.start({ key, cert });
  const trusting = linksTo(node, { tls: { ca: cert.toString() } });
  (await trusting.links.enter(record)).guest.close();
  const error = await refused(linksTo(node).links);
  assert.equal(error.code, 'NODE_UNREACHABLE');
  assert.match(error.message, /DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED/);
  assert.equal(node.sockets.length, 1);

  // The same certificate stands for a proxy's, for its authority and for the allocator's.
  await using proxy = await ScriptedNode.start({ key, cert, ca: cert, requestCert: true });
  const [ca, own] = [cert.toString(), { cert: cert.toString(), key: key.toString() }];
  assert.equal((await refused(linksTo(proxy, { tls: { ca } }).links)).code, 'NODE_UNREACHABLE');
  (await linksTo(proxy, { tls: { ca, ...own } }).links.enter(record)).guest.close();
  assert.equal(proxy.sockets.length, 1);
});
