import assert from 'node:assert/strict';
import { test } from 'node:test';
import { messageTypes as type } from '../../protocol/message-types.ts';
import { codeOf, echo } from './frames.ts';
import { map, SessionFixture } from './session-fixture.ts';

test('A3 every request needs its scope, and no other', async () => {
  const needs: Readonly<Record<'exec' | 'files' | 'ports', readonly (readonly [number, Uint8Array])[]>> = {
    exec: [
      [type.ExecStart.code, echo],
      [type.ExecAttach.code, map({ process: 1 })],
      [type.ExecList.code, map({})],
    ],
    files: [
      ...[type.FileRead, type.FileWrite, type.TarRead, type.TarWrite, type.FileList, type.FileStat].map(
        ({ code }) => [code, map({ path: '/x' })] as const,
      ),
      ...[type.FileMkdir, type.FileRemove, type.FileChange, type.FileWatch].map(
        ({ code }) => [code, map({ path: '/x' })] as const,
      ),
      [type.FileRename.code, map({ path: '/x', to: '/y' })],
    ],
    ports: [
      [type.PortList.code, map({})],
      [type.PortWatch.code, map({})],
      [type.PortConnect.code, map({ port: 80 })],
    ],
  };
  const onControl: ReadonlySet<number> = new Set([type.ExecList.code, type.PortList.code]);
  await using fixture = await SessionFixture.start();
  for (const held of ['exec', 'files', 'ports'] as const) {
    using client = await fixture.connect({ token: fixture.tokenFor([held]) });
    let id = 0;
    for (const [scope, requests] of Object.entries(needs)) {
      for (const [code, payload] of requests) {
        id += 1;
        const opened = fixture.guest.channels.length;
        const asked = fixture.guest.requests.length;
        client.send(code, onControl.has(code) ? 0 : id, id, payload);
        if (scope !== held) {
          assert.equal(codeOf(await client.next((frame) => frame.id === id)), 'forbidden');
          assert.deepEqual([fixture.guest.channels.length, fixture.guest.requests.length], [opened, asked]);
        } else if (onControl.has(code)) await client.next((frame) => frame.id === id);
        else assert.equal((await fixture.guest.channel(opened)).type, code);
      }
    }
    // About the connection itself: for whoever was let in.
    for (const code of [type.Stats, type.KeepAlive, type.TokenRenew]) {
      id += 1;
      client.send(code.code, 0, id, map({}));
      assert.equal((await client.next((frame) => frame.id === id)).type, type.Ack.code);
    }
  }
});
