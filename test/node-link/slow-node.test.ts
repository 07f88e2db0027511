import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { parseError } from '../../protocol/control-messages.ts';
import type { Frame } from '../../protocol/frame.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { isWarmpoolError } from '../../src/domain/errors.ts';
import type { NodeLink } from '../../src/node-link/node-link.ts';
import { until } from '../support/until.ts';
import { linksTo, record } from './links-fixture.ts';
import { ScriptedNode } from './scripted-node.ts';

const windowBytes = 262_144;

/** A node that takes channels, and what it is sent on each. */
class TakingNode {
  readonly node: ScriptedNode;
  /** By channel. Each link has numbers of its own. */
  readonly #input = new Map<string, Buffer[]>();
  readonly closed: number[] = [];

  constructor(node: ScriptedNode) {
    this.node = node;
    node.channelsMax = 1_024;
    node.onFrame = ({ type: code, channel, payload }, socket) => {
      if (code === type.PortConnect.code)
        node.send(socket, { type: type.Ack.code, channel, id: 0, payload: emptyMap });
      else if (code === type.ChannelClose.code) this.closed.push(channel);
      else if (code === type.Input.code) {
        const key = `${node.sockets.indexOf(socket)} ${channel}`;
        this.#input.set(key, [...(this.#input.get(key) ?? []), Buffer.from(payload)]);
      }
    };
  }

  input(socket: number, channel: number): Buffer {
    return Buffer.concat(this.#input.get(`${socket} ${channel}`) ?? []);
  }
}

/** A channel that takes input, once its node has said so. */
async function opened(guest: NodeLink) {
  const frames: Frame[] = [];
  const channel = guest.open(type.PortConnect.code, new Uint8Array(), {
    onFrame: (frame) => frames.push(frame),
    onLost() {},
  });
  await until(() => channel.inputCredit === windowBytes, 'the Ack');
  const failure = () => {
    const refusal = frames.find((frame) => frame.type === type.Error.code);
    const error = refusal && parseError(refusal.payload);
    return error && 'value' in error ? error.value : null;
  };
  return { channel, failure };
}

test('of those who use a node that takes nothing only the one is given up who fills the memory, and no byte of others is lost', async () => {
  await using node = await ScriptedNode.start();
  const taking = new TakingNode(node);
  const { links, log } = linksTo(node, { heldBytesMax: 8 * windowBytes });
  const modest = await opened((await links.enter(record)).guest);
  const { guest: greedy } = await links.enter(record);
  // More than the kernel takes before it takes no more, on any machine.
  const channels = await Promise.all(Array.from({ length: 400 }, () => opened(greedy)));
  for (const socket of node.sockets) socket.pause();
  const sent: typeof channels = [];
  for (const one of channels) {
    one.channel.send(type.Input.code, Buffer.alloc(windowBytes, sent.length));
    sent.push(one);
    await Promise.resolve();
    if (sent.some(({ failure }) => failure() !== null)) break;
  }
  const [lost, ...more] = sent.filter(({ failure }) => failure() !== null);
  assert.deepEqual(lost?.failure(), {
    code: 'not_ready',
    message: 'its node takes nothing now, and too much waits',
  });
  assert.deepEqual(more, []);
  assert.equal(log.lines.length, 1);
  modest.channel.send(type.Input.code, Buffer.alloc(windowBytes, 'm'));
  for (const socket of node.sockets) socket.resume();
  const lengths = () => [
    taking.input(0, modest.channel.number).length,
    ...sent.filter((one) => one !== lost).map(({ channel }) => taking.input(1, channel.number).length),
  ];
  await until(() => lengths().every((length) => length === windowBytes), 'what was sent');
  assert.ok(taking.input(0, modest.channel.number).equals(Buffer.alloc(windowBytes, 'm')));
  for (const [number, one] of sent.entries()) {
    if (one === lost) continue;
    assert.ok(taking.input(1, one.channel.number).equals(Buffer.alloc(windowBytes, number)));
  }
  await until(() => taking.closed.length === 1, 'the close of the one that was given up');
  assert.deepEqual(taking.closed, [lost?.channel.number]);
  greedy.close();
});

/** Takes a connection and answers what it is told to, and no more. */
async function halfAnswering(answer: string) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', () => socket.write(answer));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `ws://127.0.0.1:${port}`,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

test('whoever waits for a node that answers byte by byte waits ten seconds, in the upgrade as in a refusal', async () => {
  for (const answer of ['HTTP/1.1 101 Swi', 'HTTP/1.1 503 No\r\nContent-Length: 100\r\n\r\n{"err']) {
    await using node = await halfAnswering(answer);
    const { clock, links } = linksTo(node);
    const refused = links.enter(record).then(
      () => null,
      (error: unknown) => error,
    );
    await until(() => node.sockets.some((socket) => socket.bytesWritten > 0), 'the beginning of an answer');
    clock.pass(10_000);
    const error = await refused;
    assert.ok(isWarmpoolError(error) && error.code === 'NODE_UNREACHABLE', String(error));
    assert.match(error.message, /was not open within 10 s/);
    assert.equal(links.size, 0);
    await until(() => node.sockets.every((socket) => socket.destroyed), 'the connection to be cut');
  }
});

test('whoever gives up waiting is let go at once, and the last one takes the connection with him', async () => {
  await using node = await ScriptedNode.start();
  const { links } = linksTo(node);
  let isHeld = true;
  node.onSocket = (socket) => {
    void until(() => !isHeld, 'the test to go on').then(() => node.ready(socket));
  };
  const [first, alone] = [new AbortController(), new AbortController()];
  const patient = links.enter(record);
  // A link of its own for each is what they get; what is shared is made by filling up the eight.
  const others = Array.from({ length: 7 }, () => links.enter(record));
  const leaving = links.enter(record, first.signal);
  await until(() => node.sockets.length === 8, 'the connections');
  first.abort(new Error('no patience'));
  await assert.rejects(leaving, /no patience/);
  isHeld = false;
  (await patient).leave();
  for (const use of await Promise.all(others)) use.leave();
  assert.equal(links.size, 8);

  await using silent = await halfAnswering('');
  const { links: toSilent } = linksTo(silent);
  const only = toSilent.enter(record, alone.signal);
  await until(() => silent.sockets.length === 1, 'the connection');
  alone.abort(new Error('nor here'));
  await assert.rejects(only, /nor here/);
  assert.equal(toSilent.size, 0);
  await until(() => silent.sockets.every((socket) => socket.destroyed), 'the connection to be cut');
  await links[Symbol.asyncDispose]();
});
