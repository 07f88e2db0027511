import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  encodeExecAttached,
  encodeExecExit,
  encodeExecStarted,
  parseExecAttach,
  parseExecRequest,
} from '../../protocol/exec-messages.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { ChannelClosedError } from '../../src/operations/channel-closed-error.ts';
import { attachProcess, type Process, startProcess } from '../../src/operations/process.ts';
import { WrongAnswerError } from '../../src/operations/wrong-answer-error.ts';
import { refused, ScriptedResponder, settled } from './scripted-responder.ts';

const exit = { exitCode: 0, signal: null, timedOut: false, durationUs: 1_000 };
const started = encodeExecStarted({ pid: 42, process: 7 });

async function startOn(
  responder: ScriptedResponder,
  ...[request, options]: [Partial<Parameters<typeof startProcess>[1]>?, Parameters<typeof startProcess>[2]?]
) {
  const starting = startProcess(responder, { argv: ['true'], ...request }, options);
  const channel = await responder.next();
  channel.ack(started);
  return { process: await starting, channel };
}

async function textOf(process: Process): Promise<string> {
  let text = '';
  for await (const { stream, bytes } of process.output) text += `${stream}:${Buffer.from(bytes)};`;
  return text;
}

describe('a process over a channel', () => {
  it('is asked for with what was given and nothing else', async () => {
    const responder = new ScriptedResponder();
    const { process, channel } = await startOn(responder, {
      argv: ['sh', '-c', 'x'],
      tty: { cols: 100, rows: 30 },
      detach: true,
      replayBytes: 1_000,
      windowBytes: 4_096,
    });
    const request = parseExecRequest(channel.payload);
    assert.ok('value' in request);
    assert.deepEqual(request.value, {
      argv: ['sh', '-c', 'x'],
      tty: { cols: 100, rows: 30 },
      detach: true,
      replay: 1_000,
      window: 4_096,
    });
    assert.deepEqual([process.pid, process.number, process.tty, process.offset], [42, 7, true, 0]);
    channel.frame(messageTypes.ExecExit.code, encodeExecExit(exit));
  });

  it('gives its output in order, then its end, then its exit', async () => {
    const { process, channel } = await startOn(new ScriptedResponder());
    channel.output('one');
    channel.errorOutput('two');
    channel.output('three');
    channel.frame(messageTypes.ExecExit.code, encodeExecExit(exit));
    assert.deepEqual(await process.exited, exit);
    assert.equal(await textOf(process), 'stdout:one;stderr:two;stdout:three;');
    assert.equal(process.offset, 11);
  });

  it('wakes a reader that waits, and joins small pieces for one that is late', async () => {
    const { process, channel } = await startOn(new ScriptedResponder());
    const output = process.output[Symbol.asyncIterator]();
    const first = output.next();
    channel.output('a');
    assert.equal(Buffer.from((await first).value.bytes).toString(), 'a');
    for (let count = 0; count < 10_000; count += 1) channel.output('b');
    let pieces = 0;
    let bytes = 0;
    while (bytes < 10_000) {
      bytes += (await output.next()).value.bytes.length;
      pieces += 1;
    }
    assert.equal(bytes, 10_000);
    assert.ok(pieces <= 2, `${pieces} pieces`);
    channel.frame(messageTypes.ExecExit.code, encodeExecExit(exit));
    assert.equal((await output.next()).done, true);
  });

  it('I14 holds one window for a reader that does not read, and goes on when it does', async () => {
    for (const windowBytes of [1, 1_024, 65_536, undefined]) {
      const request = windowBytes === undefined ? {} : { windowBytes };
      // The least window that a wire may have of its own.
      const { process, channel } = await startOn(new ScriptedResponder({ output: 1_024 }), request);
      const totalBytes = windowBytes === 1 ? 100 : 300_000;
      let left = totalBytes;
      const flood = () => {
        while (left > 0 && channel.outputCredit > 0) {
          const bytes = Math.min(left, channel.outputCredit, 16_384);
          left -= bytes;
          channel.output(new Uint8Array(bytes));
        }
        if (left === 0 && !channel.ended) channel.frame(messageTypes.ExecExit.code, encodeExecExit(exit));
      };
      flood();
      await settled();
      assert.equal(left, totalBytes - (windowBytes ?? 1_024));
      channel.onReceived = flood;
      let read = 0;
      for await (const { bytes } of process.output) read += bytes.length;
      assert.equal(read, totalBytes);
    }
  });

  it('believes the window of the Ack, which a node may have lowered', async () => {
    const responder = new ScriptedResponder({ output: 100 });
    const starting = startProcess(responder, { argv: ['x'] });
    const channel = await responder.next();
    channel.ack(encodeExecStarted({ pid: 1, process: 1, window: 100 }));
    const output = (await starting).output[Symbol.asyncIterator]();
    channel.output(new Uint8Array(100));
    await output.next();
    void output.next();
    await channel.until('Credit');
    assert.equal(channel.outputCredit, 100);
  });

  it('drops the rest when its reader leaves, and the process never waits again', async () => {
    const { process, channel } = await startOn(new ScriptedResponder(), { windowBytes: 1_024 });
    channel.output(new Uint8Array(1_000));
    for await (const _ of process.output) break;
    for (let count = 0; count < 100; count += 1) channel.output(new Uint8Array(700));
    channel.frame(messageTypes.ExecExit.code, encodeExecExit(exit));
    assert.deepEqual(await process.exited, exit);
    assert.equal(process.offset, 71_000);
  });

  it('hands output to a sink as it comes, and credit back when the sink says so', async () => {
    const seen: string[] = [];
    const sink = {
      onOutput: (stream: string, bytes: Uint8Array) => void seen.push(`${stream} ${bytes.length}`),
    };
    const { process, channel } = await startOn(new ScriptedResponder(), { windowBytes: 1_000 }, { sink });
    channel.output(new Uint8Array(600));
    channel.errorOutput('x'.repeat(400));
    assert.deepEqual(seen, ['stdout 600', 'stderr 400']);
    assert.equal(process.offset, 1_000);
    assert.equal(channel.outputCredit, 0);
    process.release(100);
    assert.equal(channel.outputCredit, 0);
    process.release(900);
    assert.equal(channel.outputCredit, 1_000);
    assert.throws(() => process.release(1), /released/);
  });

  it('sends input within its credit, in order, and settles each write when it is on its way', async () => {
    const { process, channel } = await startOn(new ScriptedResponder({ input: 10 }));
    const done: string[] = [];
    const write = (text: string) => process.writeInput(Buffer.from(text)).then(() => void done.push(text));
    const writes = [write('hello '), write('wide '), write('world')];
    process.endInput();
    await settled();
    assert.deepEqual(done, ['hello ']);
    assert.equal(channel.inputText, 'hello wide');
    channel.credit(3);
    assert.equal(channel.inputText, 'hello wide wo');
    channel.credit(10);
    await Promise.all(writes);
    assert.equal(channel.inputText, 'hello wide world');
    assert.equal(channel.names.at(-1), 'InputEof');
    await assert.rejects(process.writeInput(Buffer.from('x')), /after the end/);
  });

  it('takes input for a process that has exited as done', async () => {
    const { process, channel } = await startOn(new ScriptedResponder({ input: 4 }));
    const stuck = process.writeInput(Buffer.from('too much'));
    channel.frame(messageTypes.ExecExit.code, encodeExecExit(exit));
    await stuck;
    await process.writeInput(Buffer.from('more'));
    process.signal(15);
    process.resize({ cols: 1, rows: 1 });
    assert.deepEqual(channel.names, ['Input']);
  });

  it('sends signals and sizes', async () => {
    const { process, channel } = await startOn(new ScriptedResponder(), { tty: { cols: 1, rows: 1 } });
    process.signal(2);
    process.resize({ cols: 120, rows: 40 });
    assert.deepEqual(channel.names, ['ExecSignal', 'ExecResize']);
  });

  it('rejects when it cannot be started, with the code', async () => {
    const responder = new ScriptedResponder();
    const starting = startProcess(responder, { argv: ['nope'] });
    (await responder.next()).refuse('command_not_found');
    await assert.rejects(starting, refused('command_not_found'));
  });

  it('refuses what no frame can carry before it is sent', async () => {
    const responder = new ScriptedResponder();
    await assert.rejects(startProcess(responder, { argv: ['x'.repeat(70_000)] }), refused('invalid_payload'));
    await assert.rejects(startProcess(responder, { argv: ['\ud800'] }), refused('invalid_payload'));
    assert.equal(responder.channels.length, 0);
  });

  it('reads what came before it was taken over, then says so', async () => {
    const { process, channel } = await startOn(new ScriptedResponder());
    channel.output('tail');
    channel.refuse('taken_over');
    const output = process.output[Symbol.asyncIterator]();
    assert.equal(Buffer.from((await output.next()).value.bytes).toString(), 'tail');
    await assert.rejects(output.next(), refused('taken_over'));
    await assert.rejects(process.exited, refused('taken_over'));
  });

  it('attaches at an offset and counts on from the one that was kept', async () => {
    const responder = new ScriptedResponder();
    const attaching = attachProcess(responder, { process: 7, offset: 5 });
    const channel = await responder.next();
    const request = parseExecAttach(channel.payload);
    assert.deepEqual('value' in request && request.value, { process: 7, offset: 5 });
    channel.ack(encodeExecAttached({ pid: 42, process: 7, offset: 9, input: 3, tty: true }));
    const process = await attaching;
    assert.deepEqual([process.offset, process.tty, process.inputTakenBytes], [9, true, 3]);
    channel.output('four');
    for await (const _ of process.output) break;
    assert.equal(process.offset, 13);
  });

  it('is abandoned by close: the output ends, and what waits is told', async () => {
    const { process, channel } = await startOn(new ScriptedResponder({ input: 1 }));
    const output = process.output[Symbol.asyncIterator]();
    const waits = output.next();
    const stuck = process.writeInput(Buffer.from('xyz'));
    const closed = process.close();
    assert.equal((await waits).done, true);
    await assert.rejects(stuck, ChannelClosedError);
    await assert.rejects(process.exited, ChannelClosedError);
    assert.deepEqual(channel.names, ['Input', 'ChannelClose']);
    channel.output('crossed');
    channel.confirmClose();
    await closed;
    await process.close();
  });

  it('is abandoned by an abort, before its answer and after it', async () => {
    const responder = new ScriptedResponder();
    const early = new AbortController();
    const starting = startProcess(responder, { argv: ['x'] }, { signal: early.signal });
    const first = await responder.next();
    early.abort(new Error('changed my mind'));
    await assert.rejects(starting, /changed my mind/);
    assert.deepEqual(first.names, ['ChannelClose']);
    first.ack(started);
    first.confirmClose();

    const late = new AbortController();
    const { process, channel } = await startOn(responder, {}, { signal: late.signal });
    channel.output('unread');
    late.abort(new Error('enough'));
    await assert.rejects(process.output[Symbol.asyncIterator]().next(), /enough/);
    await assert.rejects(process.exited, /enough/);
    channel.frame(messageTypes.ExecExit.code, encodeExecExit(exit));
    assert.equal(responder.openChannels, 0);

    await assert.rejects(startProcess(responder, { argv: ['x'] }, { signal: late.signal }), /enough/);
    assert.equal(responder.channels.length, 2);
  });

  it('I15 leaves nothing waiting when the wire is lost', async () => {
    const responder = new ScriptedResponder({ input: 1 });
    const { process } = await startOn(responder);
    const unanswered = startProcess(responder, { argv: ['x'] });
    const output = process.output[Symbol.asyncIterator]();
    const all = [output.next(), process.writeInput(Buffer.from('xyz')), process.exited, unanswered];
    responder.lose();
    for (const each of all) await assert.rejects(each as Promise<unknown>, /the wire was lost/);
    await assert.rejects(output.next(), /the wire was lost/);
    await process.close();
    await assert.rejects(startProcess(responder, { argv: ['x'] }), /the wire was lost/);
  });

  it('does not believe answers that cannot be read', async () => {
    const responder = new ScriptedResponder();
    const starting = startProcess(responder, { argv: ['x'] });
    const first = await responder.next();
    first.ack(new Uint8Array([0xc1]));
    await assert.rejects(starting, WrongAnswerError);
    assert.deepEqual(first.names, ['ChannelClose']);

    const { process, channel } = await startOn(responder);
    channel.frame(messageTypes.ExecExit.code, new Uint8Array([0x80]));
    await assert.rejects(process.exited, WrongAnswerError);

    const { process: second, channel: other } = await startOn(responder);
    other.end();
    await assert.rejects(second.exited, WrongAnswerError);

    const unended = startProcess(responder, { argv: ['x'] });
    (await responder.next()).frame(messageTypes.ExecExit.code, encodeExecExit(exit));
    await assert.rejects(unended, WrongAnswerError);
  });
});
