import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import type { ChannelReceiver, RequesterChannel } from '../../protocol/channel-opener.ts';
import { encodeCredit, parseError } from '../../protocol/control-messages.ts';
import { encodeExecAttach, parseExecAttached, parseProcessList } from '../../protocol/exec-messages.ts';
import { parseFileEntry, parseListEnd, parseTransferEnd } from '../../protocol/file-answers.ts';
import {
  encodeFileList,
  encodeFileRead,
  encodeFileStat,
  encodeFileWrite,
} from '../../protocol/file-requests.ts';
import { type Frame, noPayload } from '../../protocol/frame.ts';
import { emptyMap } from '../../protocol/map-message.ts';
import { isTerminal, type MessageName, messageName, messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { encodePortConnect, parsePortList } from '../../protocol/port-messages.ts';
import { RecordReader } from '../../protocol/record-reader.ts';
import { parseStats } from '../../protocol/stats-message.ts';
import type { GuestLink } from '../../src/guest-link/guest-link.ts';
import { within } from '../support/within.ts';
import { guestMissing, RealGuest } from './real-guest.ts';

const { Ack, Credit, Error: Refusal, ErrorOutput, ExecList, Input, InputEof } = messageTypes;
const { Output, PortList, Stats } = messageTypes;

/** One channel to the real agent: keeps its output, gives credit for it, and sends what it was told to. */
class Conversation implements ChannelReceiver {
  readonly #channel: RequesterChannel;
  readonly #output: Uint8Array[] = [];
  #input: Uint8Array = noPayload;
  #inputEnds = false;
  readonly #name: string;
  readonly #acked: Promise<Frame>;
  readonly #ended: Promise<Frame>;
  #onAck: (frame: Frame) => void = () => {};
  #onEnd: (frame: Frame) => void = () => {};
  #fail: (error: Error) => void = () => {};

  constructor(link: GuestLink, name: MessageName, payload: Uint8Array) {
    this.#name = name;
    this.#acked = new Promise((resolve) => {
      this.#onAck = resolve;
    });
    this.#ended = new Promise((resolve, reject) => {
      this.#onEnd = resolve;
      this.#fail = reject;
    });
    this.#ended.catch(() => {});
    this.#channel = link.open(messageTypes[name].code, payload, this);
  }

  get acked(): Promise<Frame> {
    // One that ends first is not acknowledged any more.
    const refused = this.#ended.then((frame) => assert.fail(`${messageName(frame.type)} in place of an Ack`));
    return within(Promise.race([this.#acked, refused]), () => `the Ack of ${this.#name}`);
  }

  get ended(): Promise<Frame> {
    return within(this.#ended, () => `the end of ${this.#name}, after ${this.output.length} bytes`);
  }

  get output(): Buffer {
    return Buffer.concat(this.#output);
  }

  send(bytes: Uint8Array): this {
    this.#input = bytes;
    this.#pump();
    return this;
  }

  endInput(): this {
    this.#inputEnds = true;
    this.#pump();
    return this;
  }

  close(): void {
    this.#channel.close();
  }

  onFrame(frame: Frame): void {
    const { type, payload } = frame;
    if (type === Ack.code) this.#onAck(frame);
    if (type === Output.code || type === ErrorOutput.code) {
      this.#output.push(payload);
      this.#channel.send(Credit.code, encodeCredit(payload.length));
    }
    if (isTerminal(type)) this.#onEnd(frame);
    else this.#pump();
  }

  onLost(error: Error): void {
    this.#fail(error);
  }

  #pump(): void {
    const { inputCredit } = this.#channel;
    if (this.#input.length > 0 && inputCredit > 0) {
      const now = this.#input.subarray(0, inputCredit);
      this.#input = this.#input.subarray(now.length);
      this.#channel.send(Input.code, now);
    }
    if (this.#input.length > 0 || !this.#inputEnds) return;
    this.#inputEnds = false;
    this.#channel.send(InputEof.code, noPayload);
  }
}

describe('channels to the real agent', { skip: guestMissing() }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'warmpool-channels-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('carry a file there and back, byte for byte', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    const path = join(folder, 'there-and-back');
    const bytes = randomBytes(3_000_001);
    const sha256 = createHash('sha256').update(bytes).digest();
    const write = new Conversation(link, 'FileWrite', must(encodeFileWrite({ path, mode: 0o640, sha256 })));
    const written = await write.send(bytes).endInput().ended;
    assert.deepEqual(must(parseTransferEnd(written.payload)), {
      bytes: bytes.length,
      sha256: new Uint8Array(sha256),
    });
    assert.equal(Buffer.compare(readFileSync(path), bytes), 0);
    const read = new Conversation(link, 'FileRead', must(encodeFileRead({ path, sha256: true })));
    const entry = must(parseFileEntry((await read.acked).payload));
    assert.deepEqual(
      [entry.name, entry.kind, entry.size, entry.mode],
      ['there-and-back', 'file', bytes.length, 0o640],
    );
    const end = must(parseTransferEnd((await read.ended).payload));
    assert.deepEqual(end, { bytes: bytes.length, sha256: new Uint8Array(sha256) });
    assert.equal(Buffer.compare(read.output, bytes), 0);
    link.close();
  });

  it('leave the old file when a write is given up', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    const path = join(folder, 'kept');
    writeFileSync(path, 'old');
    const write = new Conversation(link, 'FileWrite', must(encodeFileWrite({ path })));
    await write.acked;
    write.send(Buffer.alloc(500_000));
    write.close();
    assert.equal(messageName((await write.ended).type), 'ChannelClose');
    assert.equal(readFileSync(path, 'utf8'), 'old');
    link.close();
  });

  it('list a directory by records, and answer two hundred requests at once', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    const list = new Conversation(link, 'FileList', must(encodeFileList({ path: folder })));
    const { entries } = must(parseListEnd((await list.ended).payload));
    const records = must(new RecordReader(parseFileEntry).push(list.output));
    assert.equal(records.length, entries);
    const stats = Array.from(
      { length: 200 },
      () => new Conversation(link, 'FileStat', must(encodeFileStat({ path: join(folder, 'none') }))),
    );
    for (const { ended } of stats) {
      const { payload, type } = await ended;
      assert.equal(type, Refusal.code);
      const { code } = must(parseError(payload));
      assert.ok(code === 'not_found' || code === 'limit_exceeded', code);
    }
    link.close();
  });

  it('carry a terminal of the size that was asked for, and of every later one', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    let seen = '';
    let onOutput = () => {};
    const shell = await link.spawn(
      { ...command, argv: ['sh', '-c', 'stty size; read line; stty size'], tty: { cols: 100, rows: 30 } },
      {
        onOutput: (stream, bytes) => {
          assert.equal(stream, 'stdout');
          seen += bytes.toString();
          onOutput();
        },
      },
    );
    const sized = new Promise<void>((resolve) => {
      onOutput = () => {
        if (seen.includes('30 100')) resolve();
      };
      onOutput();
    });
    await within(sized, () => `the size; there was ${JSON.stringify(seen)}`);
    shell.resize({ cols: 77, rows: 22 });
    await shell.writeStdin(Buffer.from('\n'));
    const exit = await within(shell.exited, () => `the end; there was ${JSON.stringify(seen)}`);
    assert.equal(exit.exitCode, 0);
    assert.match(seen, /22 77/);
    link.close();
  });

  it('give a detached process to whoever attaches last, with what it said before', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    const cat = await link.spawn({ ...command, argv: ['cat'], detach: true }, { onOutput: () => {} });
    const processes = must(parseProcessList(await link.request(ExecList.code, emptyMap)));
    assert.deepEqual(
      processes.map(({ process, argv0, attached, running }) => ({ process, argv0, attached, running })),
      [{ process: cat.process, argv0: 'cat', attached: true, running: true }],
    );
    const attach = encodeExecAttach({ process: cat.process });
    const first = new Conversation(link, 'ExecAttach', attach);
    await assert.rejects(cat.exited, /another connection has taken it over/);
    const { pid, offset } = must(parseExecAttached((await first.acked).payload));
    assert.deepEqual({ pid, offset }, { pid: cat.pid, offset: 0 });
    const second = new Conversation(link, 'ExecAttach', attach);
    const taken = await first.ended;
    assert.equal(must(parseError(taken.payload)).code, 'taken_over');
    second.send(Buffer.from('said')).endInput();
    assert.equal(messageName((await second.ended).type), 'ExecExit');
    assert.equal(second.output.toString(), 'said');
    const unknown = new Conversation(link, 'ExecAttach', encodeExecAttach({ process: 999 }));
    assert.equal(must(parseError((await unknown.ended).payload)).code, 'process_unknown');
    link.close();
  });

  it('carry a connection to a port, each direction with an end of its own', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    try {
      const { port } = server.address() as AddressInfo;
      assert.ok(must(parsePortList(await link.request(PortList.code, emptyMap))).includes(port));
      const bytes = randomBytes(700_000);
      const tunnel = new Conversation(link, 'PortConnect', encodePortConnect({ port }));
      const end = await tunnel.send(bytes).endInput().ended;
      assert.equal(messageName(end.type), 'End');
      assert.equal(Buffer.compare(tunnel.output, bytes), 0);
    } finally {
      server.close();
      await once(server, 'close');
    }
    link.close();
  });

  it('say what the sandbox uses', async () => {
    await using guest = new RealGuest('once');
    const link = await guest.open();
    const { memoryBytes, pids } = must(parseStats(await link.request(Stats.code, emptyMap)));
    assert.ok(memoryBytes > 0 && pids > 0);
    link.close();
  });
});

const command = {
  argv: [],
  env: { PATH: '/usr/bin:/bin' },
  cwd: '/',
  user: '',
  stdin: true,
  timeoutMs: 0,
};

function must<T>(result: ParseResult<T>): T {
  return 'value' in result ? result.value : assert.fail(result.error);
}
