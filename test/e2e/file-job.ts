import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { connect, type WarmpoolClient } from '../../src/client/grpc-client.ts';
import type { ExecStreamResponse__Output } from '../../src/grpc/gen/warmpool/v1/ExecStreamResponse.ts';
import { eventually } from '../support/bubblewrap-sandboxes.ts';
import { answerOf, download, upload } from '../support/file-calls.ts';
import { failureOf, RawClients } from '../support/grpc-raw.ts';
import { TestService } from '../support/service.ts';
import { within } from '../support/within.ts';
import { type Setup, smallPool } from './main-job.ts';

const mebibyte = 1_048_576;

/**
 * Files and terminals over gRPC in real sandboxes, by the service as a user runs it. `diskMb` must leave room in the home
 * for one file of 100 MiB and not for two.
 */
export function fileJob(setup: Pick<Setup, 'name' | 'skip' | 'env'> & { readonly diskMb: number }): void {
  describe(`files and terminals on ${setup.name}`, { skip: setup.skip }, () => {
    let service: TestService;
    let client: WarmpoolClient;
    let raw: RawClients;
    let sandboxId: string;

    before(async () => {
      const resources = { cpu: 2, memoryMb: 512, diskMb: setup.diskMb, pids: 64 };
      const pool = smallPool({ size: { minReady: 1 }, template: { resources } });
      service = await TestService.start({ pools: [pool], env: setup.env });
      client = connect(service.grpc);
      raw = new RawClients(service.grpc);
      sandboxId = (await client.create('base', {}, { deadlineMs: 60_000 })).id;
    });
    after(async () => {
      await client?.delete(sandboxId).catch(() => {});
      client?.close();
      raw?.[Symbol.dispose]();
      await service?.[Symbol.asyncDispose]();
    });

    const sh = async (script: string) => {
      const { stdout, stderr } = await client.exec({ sandboxId, argv: ['sh', '-c', script] });
      return `${stdout}${stderr}`;
    };

    test('I14 100 MB go up and down with equal checksums while the service stays flat', async () => {
      const chunk = randomBytes(65_536);
      const upAndDown = async () => {
        const expected = createHash('sha256');
        let rssMax = 0;
        function* chunks() {
          for (let index = 0; index < 1_600; index += 1) {
            chunk.writeUInt32BE(index);
            expected.update(chunk);
            if (index % 100 === 0) rssMax = Math.max(rssMax, rssOf(service));
            yield Buffer.from(chunk);
          }
        }
        const written = await upload(raw.files, { sandboxId, path: 'big' }, chunks());
        const read = await download(raw.files, { sandboxId, path: 'big', sha256: true });
        const sum = expected.digest('hex');
        assert.deepEqual(
          [written.sha256.toString('hex'), read.sha256, read.end?.sha256.toString('hex'), read.bytes],
          [sum, sum, sum, 1_600 * 65_536],
        );
        assert.equal((await sh('sha256sum big; stat -c %U:%a big')).trim(), `${sum}  big\nuser:644`);
        return Math.max(rssMax, rssOf(service));
      };
      // The first time fills the heap with what it then works with, garbage included.
      const warmBytes = await upAndDown();
      await answerOf(raw.files.remove.bind(raw.files), { sandboxId, path: 'big' });
      const grewBytes = (await upAndDown()) - warmBytes;
      // When garbage is collected is chance; a file that is held anywhere is 100 MiB.
      assert.ok(grewBytes < 40 * mebibyte, `the service grew by ${grewBytes} bytes`);
    });

    test('a full disk is a clear error, and the old file stays whole', async () => {
      const before = await sh('sha256sum big');
      const more = function* () {
        for (let count = 0; count < 1_600; count += 1) yield Buffer.alloc(65_536, 1);
      };
      await assert.rejects(upload(raw.files, { sandboxId, path: 'big' }, more()), /RESOURCE_EXHAUSTED/);
      assert.equal(await sh('sha256sum big'), before);
      assert.equal(await sh('ls -A | grep -v big | grep "^\\.warm" ; true'), '');
      await answerOf(raw.files.remove.bind(raw.files), { sandboxId, path: 'big' });
      await upload(raw.files, { sandboxId, path: 'small' }, [Buffer.from('there is room again')]);
      assert.equal(await sh('cat small'), 'there is room again');
    });

    test('a write that is cancelled in the middle leaves the old file and nothing beside it', async () => {
      await sh('mkdir -p kept && echo old > kept/file');
      const stream = raw.files.writeFile(() => {});
      stream.write({ header: { sandboxId, path: 'kept/file' } });
      for (let count = 0; count < 50; count += 1) stream.write({ chunk: Buffer.alloc(65_536) });
      await new Promise((settle) => setTimeout(settle, 50));
      stream.cancel();
      assert.equal(await sh('cat kept/file'), 'old\n');
      // The service hears of the end of this call on another connection than the one that looks.
      await eventually(async () => (await sh('ls -A kept')) === 'file\n', 'nothing is beside it');
      assert.equal(await sh('cat kept/file'), 'old\n');
    });

    test('a file request may do what its user may, and no more', async () => {
      const shadow = await failureOf((done) =>
        raw.files.writeFile(done).end({ header: { sandboxId, path: '/etc/warmpool-test' } }),
      );
      assert.ok(
        ['FILE_PERMISSION_DENIED', 'FILE_SYSTEM_READ_ONLY'].includes(shadow.details.reason ?? ''),
        shadow.message,
      );
      const { entry } = await answerOf(raw.files.stat.bind(raw.files), { sandboxId, path: 'small' });
      assert.deepEqual([entry?.user, entry?.mode, Number(entry?.size)], ['user', 0o644, 19]);
    });

    test('a terminal has a size, takes ^C, and is resized', async () => {
      const stream = raw.commands.execStream();
      let text = '';
      let exit: ExecStreamResponse__Output['exit'] = null;
      stream.on('data', (message: ExecStreamResponse__Output) => {
        text += message.stdout ?? '';
        if (message.exit) exit = message.exit;
      });
      stream.on('error', (error: Error) => {
        text += error.message;
      });
      const more = () => within(once(stream, 'data'), () => `no more output than ${JSON.stringify(text)}`);
      const says = async (pattern: RegExp) => {
        while (!pattern.test(text)) await more();
      };
      const type = (stdin: string) => void stream.write({ stdin: Buffer.from(stdin) });
      const start = { sandboxId, argv: ['sh'], env: { PS1: 'at> ' }, tty: { cols: 91, rows: 31 } };
      stream.write({ start });
      await says(/at> $/);
      type('stty size\n');
      await says(/31 91\r\n[^\n]*at> $/);
      stream.write({ resize: { cols: 121, rows: 41 } });
      type('stty size\n');
      await says(/41 121\r\n[^\n]*at> $/);
      type('sh -c "echo up; exec sleep 1000"\n');
      await says(/up\r\n/);
      type('\u0003');
      await says(/up\r\n[^>]*at> /);
      type('exit 3\n');
      while (!exit) await more();
      assert.equal((exit as { exitCode?: number }).exitCode, 3);
    });
  });
}

/** What the service's process holds in memory. */
function rssOf(service: TestService): number {
  const status = readFileSync(`/proc/${service.process.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1_024;
}
