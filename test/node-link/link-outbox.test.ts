import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeCredit } from '../../protocol/control-messages.ts';
import { parseFrame } from '../../protocol/frame.ts';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { HeldBytes } from '../../src/node-link/held-bytes.ts';
import { LinkOutbox } from '../../src/node-link/link-outbox.ts';
import type { NodeSocket } from '../../src/node-link/node-socket.ts';

/** A network that takes what it is told to take. */
class SlowSocket implements NodeSocket {
  readonly written: { type: number; channel: number; text: string }[] = [];
  readonly #waiting: { bytes: number; onWritten: (() => void) | undefined }[] = [];
  isSlow = true;

  get bufferedBytes(): number {
    return this.#waiting.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  send(message: Uint8Array, onWritten?: () => void): void {
    const frame = parseFrame(new Uint8Array(message));
    assert.ok('value' in frame);
    const { type, channel, payload } = frame.value;
    this.written.push({ type, channel, text: Buffer.from(payload).toString() });
    if (this.isSlow) this.#waiting.push({ bytes: message.length, onWritten });
    else onWritten?.();
  }

  /** Takes all that waits now. */
  take(): void {
    for (const { onWritten } of this.#waiting.splice(0)) onWritten?.();
  }

  close(): void {}
  abort(): void {}
}

function outboxOver(socket: SlowSocket, held = new HeldBytes()) {
  const givenUp: number[] = [];
  const outbox = new LinkOutbox({ socket, held, onGivenUp: (channel) => givenUp.push(channel) });
  const send = (channel: number, code: number, text: string | Uint8Array) =>
    outbox.send({ type: code, channel, id: 0, payload: Buffer.from(text) });
  return { outbox, send, givenUp, held };
}

const much = 'x'.repeat(20_000);

test('what waits for the network leaves in turn by channel, and in order on each', () => {
  const socket = new SlowSocket();
  const { outbox, send } = outboxOver(socket);
  send(1, type.Input.code, much);
  assert.ok(outbox.isPaused);
  send(1, type.Input.code, `1a${much}`);
  send(1, type.Input.code, `1b${much}`);
  send(1, type.InputEof.code, '');
  send(2, type.Input.code, `2a${much}`);
  send(0, type.Ping.code, 'now');
  assert.equal(socket.written.length, 2);
  socket.isSlow = false;
  socket.take();
  assert.ok(!outbox.isPaused);
  assert.equal(outbox.heldBytes, 0);
  const order = socket.written.map(({ channel, text }) => `${channel} ${text.slice(0, 2)}`);
  assert.deepEqual(order, ['1 xx', '0 no', '1 1a', '2 2a', '1 1b', '1 ']);
  send(3, type.Input.code, 'at once');
  assert.equal(socket.written.at(-1)?.text, 'at once');
});

test('bytes that come one by one are gathered, and grants are one', () => {
  const socket = new SlowSocket();
  const { outbox, send } = outboxOver(socket);
  send(1, type.Input.code, much);
  const typed = Array.from({ length: 10_000 }, (_, at) => String(at % 10));
  for (const key of typed) send(2, type.Input.code, key);
  for (let count = 0; count < 5; count += 1) send(2, type.Credit.code, encodeCredit(1_000));
  for (let count = 0; count < 1_000; count += 1) send(2, type.ExecSignal.code, 'signal');
  assert.ok(outbox.heldBytes < 40_000, String(outbox.heldBytes));
  socket.isSlow = false;
  socket.take();
  const [, grant, ...rest] = socket.written;
  assert.equal(grant?.type, type.Credit.code);
  assert.equal(grant?.text, Buffer.from(encodeCredit(5_000)).toString());
  const input = rest.filter((frame) => frame.type === type.Input.code);
  assert.equal(input.map(({ text }) => text).join(''), typed.join(''));
  assert.equal(input.length, 2);
  assert.equal(rest.length - input.length, 64);
});

test('past the bound over all links the channel that holds most is given up, of the link that holds most', () => {
  const held = new HeldBytes(100_000);
  const [greedy, modest] = [outboxOver(new SlowSocket(), held), outboxOver(new SlowSocket(), held)];
  for (const { send } of [greedy, modest]) send(1, type.Input.code, much);
  modest.send(2, type.Input.code, 'm'.repeat(30_000));
  greedy.send(2, type.Input.code, 'g'.repeat(21_000));
  greedy.send(3, type.Input.code, 'g'.repeat(22_000));
  assert.deepEqual([...greedy.givenUp, ...modest.givenUp], []);
  greedy.send(4, type.Input.code, 'g'.repeat(30_000));
  assert.deepEqual(greedy.givenUp, [4]);
  greedy.send(4, type.Input.code, 'g'.repeat(20_000));
  greedy.send(3, type.Input.code, 'g'.repeat(20_000));
  assert.deepEqual(greedy.givenUp, [4, 3]);
  assert.deepEqual(modest.givenUp, []);
  assert.ok(held.bytes <= 100_000);
  for (const { outbox } of [greedy, modest]) outbox.close();
  assert.equal(held.bytes, 0);
});
