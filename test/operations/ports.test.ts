import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ResponderError } from '../../protocol/channel-opener.ts';
import { encodeProcessList } from '../../protocol/exec-messages.ts';
import { noPayload } from '../../protocol/frame.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import { encodePortList, encodePortRecord, parsePortConnect } from '../../protocol/port-messages.ts';
import { encodeStats } from '../../protocol/stats-message.ts';
import { listProcesses } from '../../src/operations/list-processes.ts';
import { connectPort, listPorts, watchPorts } from '../../src/operations/ports.ts';
import { readStats } from '../../src/operations/stats.ts';
import { WrongAnswerError } from '../../src/operations/wrong-answer-error.ts';
import { refused, ScriptedResponder, settled } from './scripted-responder.ts';

async function connected(responder = new ScriptedResponder()) {
  const connecting = connectPort(responder, { port: 3_000 });
  const channel = await responder.next();
  const request = parsePortConnect(channel.payload);
  assert.deepEqual('value' in request && request.value, { port: 3_000 });
  channel.ack();
  return { connection: await connecting, channel };
}

describe('a connection to a port', () => {
  it('carries both directions, each of which ends on its own', async () => {
    const { connection, channel } = await connected();
    await connection.write(Buffer.from('ping'));
    channel.output('pong');
    channel.frame(messageTypes.OutputEof.code, noPayload);
    let text = '';
    for await (const bytes of connection.bytes) text += Buffer.from(bytes);
    assert.equal(text, 'pong');
    await connection.write(Buffer.from('more'));
    connection.end();
    assert.deepEqual(
      channel.names.filter((name) => name !== 'Credit'),
      ['Input', 'Input', 'InputEof'],
    );
    channel.end();
    await connection.closed;
  });

  it('is refused when nobody listens', async () => {
    const responder = new ScriptedResponder();
    const connecting = connectPort(responder, { port: 1 });
    (await responder.next()).refuse('connection_refused');
    await assert.rejects(connecting, refused('connection_refused'));
  });

  it('says that it was broken, to readers, writers and whoever waits for its end', async () => {
    const { connection, channel } = await connected(new ScriptedResponder({ input: 1 }));
    const read = connection.bytes[Symbol.asyncIterator]().next();
    const stuck = connection.write(Buffer.from('xyz'));
    channel.refuse('connection_reset');
    for (const each of [read, stuck, connection.closed]) {
      await assert.rejects(each as Promise<unknown>, refused('connection_reset'));
    }
  });

  it('goes on when its reader leaves, and is reset by close', async () => {
    const { connection, channel } = await connected();
    channel.output('a');
    for await (const _ of connection.bytes) break;
    channel.output('b');
    assert.equal(channel.closing, false);
    connection.close();
    await assert.rejects(connection.closed);
    assert.equal(channel.names.at(-1), 'ChannelClose');
  });
});

describe('ports, processes and stats', () => {
  it('are asked for on the control channel', async () => {
    const responder = new ScriptedResponder();
    responder.answer(async () => encodePortList([80, 3_000]));
    assert.deepEqual(await listPorts(responder), [80, 3_000]);
    const listed = {
      process: 1,
      pid: 2,
      argv0: 'sh',
      tty: true,
      detach: true,
      attached: false,
      running: false,
      start: 3,
      end: 4,
      exitCode: 5,
    };
    responder.answer(async () => {
      const list = encodeProcessList([listed]);
      assert.ok('value' in list);
      return list.value;
    });
    assert.deepEqual(await listProcesses(responder), [listed]);
    const stats = { cpuUs: 1, memoryBytes: 2, diskUsedBytes: 3, pids: 4, uptimeMs: 5, pidsLimit: 6 };
    responder.answer(async () => encodeStats(stats));
    assert.deepEqual(await readStats(responder), stats);
  });

  it('reject with the refusal, the abort, and an answer that cannot be read', async () => {
    const responder = new ScriptedResponder();
    responder.answer(async () => {
      throw new ResponderError('forbidden', 'ports');
    });
    await assert.rejects(listPorts(responder), refused('forbidden'));
    responder.answer(async () => new Uint8Array([0xc1]));
    await assert.rejects(readStats(responder), WrongAnswerError);
    const abort = new AbortController();
    responder.answer(() => new Promise(() => {}));
    const waits = readStats(responder, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await assert.rejects(waits, /enough/);
    await assert.rejects(readStats(responder, { signal: abort.signal }), /enough/);
  });

  it('are watched: what is open now, then each change', async () => {
    const responder = new ScriptedResponder();
    const watching = watchPorts(responder);
    const channel = await responder.next();
    channel.ack();
    const watch = await watching;
    const changes = watch.changes[Symbol.asyncIterator]();
    channel.record(encodePortRecord({ port: 80, open: true }));
    assert.deepEqual((await changes.next()).value, { port: 80, open: true });
    const next = changes.next();
    channel.record(encodePortRecord({ port: 80, open: false }));
    assert.deepEqual((await next).value, { port: 80, open: false });
    const waits = changes.next();
    await settled();
    watch.close();
    assert.equal((await waits).done, true);
  });
});
