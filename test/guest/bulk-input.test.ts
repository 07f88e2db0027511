import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { buildSanitizedGuest } from '../../guest/build-test.mjs';
import { linkOverheadBytes, linkTrailerBytes } from '../../protocol/link-framing.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { GuestDriver, linkFrame } from './guest-driver.ts';

const largeBytes = 65_536;
/** From here on the pages of a process's input go from the link to its pipe. */
const busyBytes = 1_048_576;
/** What Welcome grants. */
const windowBytes = 262_144;

/** As a stream cuts them: in pieces of any size, each a write of its own. */
async function sendInPieces(guest: GuestDriver, bytes: Uint8Array, pieceBytes: () => number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const piece = bytes.subarray(at, at + pieceBytes());
    at += piece.length;
    await new Promise<void>((resolve) => guest.input.write(piece, () => resolve()));
  }
}

type Execution = ReturnType<GuestDriver['begin']>;

const sentOf = new WeakMap<Execution, number>();

async function feed(
  guest: GuestDriver,
  execution: Execution,
  bytes: Buffer,
  options: { readonly frameBytes?: () => number; readonly pieceBytes?: () => number } = {},
): Promise<void> {
  const { frameBytes = () => largeBytes, pieceBytes = () => largeBytes + linkOverheadBytes } = options;
  const sentBefore = sentOf.get(execution) ?? 0;
  for (let sent = 0; sent < bytes.length; ) {
    const payload = bytes.subarray(sent, sent + frameBytes());
    sent += payload.length;
    sentOf.set(execution, sentBefore + sent);
    await guest.until(() => windowBytes + execution.stdinGranted >= sentBefore + sent, 'credit');
    await sendInPieces(guest, linkFrame(messageTypes.Input.code, execution.channel, 0, payload), pieceBytes);
  }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** With the sanitizers, which find what a wrong length would do to memory. */
const checked = {
  binary: buildSanitizedGuest(),
  env: { ASAN_OPTIONS: 'detect_leaks=0:abort_on_error=1', UBSAN_OPTIONS: 'halt_on_error=1' },
};

describe('bulk input', () => {
  test('arrives whole and in order, however its frames are cut, with other frames between them', async () => {
    await using guest = await GuestDriver.start(checked);
    const bytes = randomBytes(6 * busyBytes);
    const hash = guest.begin(['sha256sum'], { stdin: true });
    // No grants for its output: they would be sent into the frames that are cut.
    const echo = guest.begin(['cat'], { stdin: true, givesCredit: false });
    // Without chance, so that a failure repeats itself: sizes that begin and end everywhere in header, payload and trailer.
    let step = 0;
    const frameSizes = [largeBytes, largeBytes, 16_384, largeBytes, 1, 40_000, largeBytes, 16_383, 65_535];
    const pieceSizes = [65_557, 17, 65_540, 3, 30_000, 131_000, 20, 21, 1, 65_553, 4];
    const half = bytes.length / 2;
    await feed(guest, hash, bytes.subarray(0, half));
    await feed(guest, hash, bytes.subarray(half), {
      frameBytes: () => {
        step += 1;
        if (step % 7 === 0) echo.writeStdin(Buffer.from(`${step},`));
        if (step % 11 === 0) guest.send('Ping', 0, Buffer.from(`${step}`), step);
        return frameSizes[step % frameSizes.length] ?? largeBytes;
      },
      pieceBytes: () => {
        step += 1;
        return pieceSizes[step % pieceSizes.length] ?? largeBytes;
      },
    });
    hash.endStdin();
    echo.endStdin();
    await hash.exited();
    await echo.exited();
    assert.equal(hash.stdout.toString().slice(0, 64), sha256(bytes));
    assert.match(echo.stdout.toString(), /^(\d+,)+$/);
  });

  test('waits for a process that reads little and then nothing, and loses none of it', async () => {
    await using guest = await GuestDriver.start(checked);
    const bytes = randomBytes(4 * busyBytes);
    const script = 'dd bs=4096 count=400 iflag=fullblock status=none | sha256sum; read go < "$1"; sha256sum';
    const fifo = await guest.run(['sh', '-c', 'd=$(mktemp -d) && mkfifo "$d/go" && echo "$d/go"']);
    const path = fifo.stdout.toString().trim();
    const reader = guest.begin(['sh', '-c', script, 'sh', path], { stdin: true });
    const fed = feed(guest, reader, bytes);
    // Nothing is granted beyond what the pipe and the window hold.
    await guest.until(() => reader.stdinGranted >= 400 * 4_096 - windowBytes, 'its first part was read');
    await guest.run(['sh', '-c', 'echo go > "$1"; rm -r "$(dirname "$1")"', 'sh', path]);
    await fed;
    reader.endStdin();
    await reader.exited();
    const [first, rest] = reader.stdout.toString().split('\n');
    assert.equal(first?.slice(0, 64), sha256(bytes.subarray(0, 400 * 4_096)));
    assert.equal(rest?.slice(0, 64), sha256(bytes.subarray(400 * 4_096)));
  });

  test('for a process that has ended goes nowhere, and the link goes on behind it', async () => {
    await using guest = await GuestDriver.start(checked);
    // Silent: a grant for its output would be sent into the half frame.
    const script = `head -c ${2 * busyBytes} | wc -c > /dev/null`;
    const head = guest.begin(['sh', '-c', script], { stdin: true });
    await feed(guest, head, randomBytes(2 * busyBytes));
    // Half of a frame that nobody reads any more, and the rest when the process is gone.
    const frame = linkFrame(messageTypes.Input.code, head.channel, 0, randomBytes(largeBytes));
    guest.sendBytes(frame.subarray(0, 30_000));
    await head.exited();
    guest.sendBytes(frame.subarray(30_000));
    await guest.roundTrip();
    assert.equal((await guest.run(['echo', 'on'])).stdout.toString(), 'on\n');
  });

  test('with a wrong trailer ends a link that is over with its node; on one that is taken up again it is dropped', async () => {
    for (const link of ['once', 'reattach']) {
      await using guest = await GuestDriver.start({ args: [`--link=${link}`] });
      const count = guest.begin(['wc', '-c'], { stdin: true });
      const sentBytes = 2 * busyBytes;
      await feed(guest, count, Buffer.alloc(sentBytes));
      await guest.until(() => count.stdinGranted >= sentBytes, 'all of it was taken');
      const frame = linkFrame(messageTypes.Input.code, count.channel, 0, Buffer.alloc(largeBytes, 1));
      frame.fill(0, frame.length - linkTrailerBytes);
      guest.sendBytes(frame);
      if (link === 'once') {
        assert.equal(await guest.ended(), 0);
        continue;
      }
      await guest.roundTrip();
      count.endStdin();
      await count.exited();
      assert.equal(count.stdout.toString().trim(), String(sentBytes));
    }
  });
});
