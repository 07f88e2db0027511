import assert from 'node:assert/strict';
import { test } from 'node:test';
import { commandFolder, parseWorkspacePath, workspaceRoot } from '../../src/data-plane/xgen/xgen-paths.ts';

test('a path is taken below the workspace, whatever it begins with', () => {
  const shown = (path: string) => {
    const parsed = parseWorkspacePath(path);
    return 'value' in parsed ? parsed.value : parsed.error;
  };
  for (const [path, below] of [
    ['a.txt', 'a.txt'],
    ['./a//b/../c', 'a/c'],
    ['/etc/x', 'etc/x'],
    ['/../x', 'x'],
    [`${workspaceRoot}/a.txt`, 'a.txt'],
    [`${workspaceRoot}-evil/x`, 'home/sandbox/workspace-evil/x'],
    ['dir/', 'dir'],
  ] as const) {
    assert.deepEqual(shown(path), { absolute: `${workspaceRoot}/${below}`, shown: below }, path);
  }
  for (const path of ['.', '', '/', workspaceRoot, `${workspaceRoot}/`, 'a/..']) {
    assert.deepEqual(shown(path), { absolute: workspaceRoot, shown: '.' }, path);
  }
});

test('a path that leaves the workspace, holds a NUL or is too long is refused', () => {
  for (const path of ['../x', 'a/../../x', `${workspaceRoot}/../x`, '..', 'a\0b', 'x'.repeat(5_000)]) {
    assert.ok('error' in parseWorkspacePath(path), path.slice(0, 30));
  }
});

test('a command starts in the workspace, below it, or where its client says', () => {
  assert.equal(commandFolder(''), workspaceRoot);
  assert.equal(commandFolder('src'), `${workspaceRoot}/src`);
  assert.equal(commandFolder('/tmp'), '/tmp');
});
