import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeExecExit, encodeExecStarted } from '../../protocol/exec-messages.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { startProcess } from '../../src/operations/process.ts';
import { ScriptedResponder, settled } from './scripted-responder.ts';

const runs = { numRuns: 200 };
const exit = encodeExecExit({ exitCode: 0, signal: null, timedOut: false, durationUs: 1 });

async function started(windowBytes: number, inputWindow = 65_536) {
  const responder = new ScriptedResponder({ input: inputWindow });
  const starting = startProcess(responder, { argv: ['x'], windowBytes });
  const channel = await responder.next();
  channel.ack(encodeExecStarted({ pid: 1, process: 1 }));
  return { process: await starting, channel };
}

test('I14 output arrives whole and in order, however sender and reader take turns, and nobody waits for ever', async () => {
  const pieces = fc.array(fc.record({ stderr: fc.boolean(), bytes: fc.integer({ min: 1, max: 3_000 }) }), {
    minLength: 1,
    maxLength: 60,
  });
  await fc.assert(
    fc.asyncProperty(
      pieces,
      fc.integer({ min: 1, max: 5_000 }),
      fc.infiniteStream(fc.integer({ min: 0, max: 3 })),
      async (toSend, windowBytes, turns) => {
        const { process, channel } = await started(windowBytes);
        let value = 0;
        let held = 0;
        const expected = { stdout: [] as number[], stderr: [] as number[] };
        const got = { stdout: [] as number[], stderr: [] as number[] };
        const queue = [...toSend];
        const send = () => {
          const next = queue[0];
          if (!next || channel.ended) return;
          const bytes = Math.min(next.bytes, channel.outputCredit);
          if (bytes === 0) return;
          queue.shift();
          if (bytes < next.bytes) queue.unshift({ ...next, bytes: next.bytes - bytes });
          const payload = new Uint8Array(bytes).map(() => value++ % 251);
          expected[next.stderr ? 'stderr' : 'stdout'].push(...payload);
          held += bytes;
          assert.ok(held <= windowBytes + 1, 'never more than a window is on the way');
          channel.output(payload, (next.stderr ? messageTypes.ErrorOutput : messageTypes.Output).code);
          if (queue.length === 0) channel.frame(messageTypes.ExecExit.code, exit);
        };
        const reading = (async () => {
          for await (const { stream, bytes } of process.output) {
            held -= bytes.length;
            got[stream].push(...bytes);
            for (let turn = turns.next().value ?? 0; turn > 0; turn -= 1) await Promise.resolve();
          }
        })();
        while (!channel.ended) {
          const before = queue.length;
          for (let count = (turns.next().value ?? 0) + 1; count > 0; count -= 1) send();
          if (before === queue.length) await settled();
          else await Promise.resolve();
        }
        await reading;
        assert.deepEqual(got, expected);
        assert.equal(process.offset, value);
      },
    ),
    runs,
  );
});

test('input arrives whole and in order, whatever the credit, and every write settles', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 4_000 }), { maxLength: 30 }),
      fc.integer({ min: 1, max: 2_000 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 700 })),
      async (sizes, inputWindow, grants) => {
        const { process, channel } = await started(1_024, inputWindow);
        let value = 0;
        const expected: number[] = [];
        const writes = sizes.map((size) => {
          const bytes = new Uint8Array(size).map(() => value++ % 251);
          expected.push(...bytes);
          return process.writeInput(bytes);
        });
        process.endInput();
        while (channel.received.at(-1)?.name !== 'InputEof') {
          const credit = channel.inputCredit;
          channel.credit(grants.next().value ?? 1);
          assert.ok(channel.inputCredit > credit || channel.received.length > 0);
        }
        await Promise.all(writes);
        const inputs = channel.received.filter((frame) => frame.name === 'Input');
        assert.deepEqual(
          inputs.flatMap((frame) => [...frame.payload]),
          expected,
        );
        assert.equal(channel.names.at(-1), 'InputEof');
        assert.ok(inputs.every((frame) => frame.payload.length <= inputWindow));
      },
    ),
    runs,
  );
});

test('I15 whatever is waited for is settled when a channel ends, in whichever way and at whatever moment', async () => {
  const ends = ['close', 'abort', 'lost', 'refused', 'exit'] as const;
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...ends), fc.integer({ min: 0, max: 6 }), async (how, moment) => {
      const abort = new AbortController();
      const responder = new ScriptedResponder({ input: 3 });
      const starting = startProcess(responder, { argv: ['x'] }, { signal: abort.signal });
      const channel = await responder.next();
      const all: Promise<unknown>[] = [starting];
      if (moment > 0) {
        channel.ack(encodeExecStarted({ pid: 1, process: 1 }));
        const process = await starting;
        const output = process.output[Symbol.asyncIterator]();
        all.push(process.exited);
        if (moment > 1) all.push(output.next());
        if (moment > 2) all.push(process.writeInput(Buffer.from('more than three')));
        if (moment > 3) channel.output('one piece');
        if (moment > 4) all.push(output.next(), output.next());
        if (moment > 5) process.endInput();
        if (how === 'close') all.push(process.close());
      }
      if (how === 'abort' || (how === 'close' && moment === 0)) abort.abort(new Error('enough'));
      if (how === 'lost') responder.lose();
      if (how === 'refused') channel.refuse('limit_exceeded');
      if (how === 'exit') channel.frame(messageTypes.ExecExit.code, exit);
      if (channel.closing && !channel.ended) channel.confirmClose();
      assert.equal(channel.ended, true);
      const results = await Promise.race([Promise.allSettled(all), settled().then(() => null)]);
      assert.ok(results, `something still waits after ${how} at moment ${moment}`);
    }),
    runs,
  );
});
