import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { buildProbe } from '../../guest/build-test.mjs';
import { dockerEngineMissing, type TestEngine, useDockerEngine } from '../support/docker-engine.ts';
import {
  type CommandOptions,
  DockerSandboxes,
  openLink,
  putProgram,
  type RunningSandbox,
  run,
  shell,
  template,
} from '../support/docker-sandboxes.ts';

/** The rules of the guest (HARDENING.md, section 2) and its filter (section 5) inside containers. */
const skip = dockerEngineMissing() ?? false;

describe('the guest in a container on the default runtime', { skip }, () => {
  let engine: TestEngine;
  let sandboxes: DockerSandboxes;
  let sandbox: RunningSandbox;

  before(async () => {
    engine = await useDockerEngine();
    sandboxes = await DockerSandboxes.onBaseImage(engine.dockerHost);
    sandbox = await sandboxes.boot();
  });

  after(async () => {
    await sandboxes?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });

  test('G1 neither a user nor root can open the guest, trace it or take its descriptors', async () => {
    const probe = await putProgram(sandbox.link, 'pid1-probe', readFileSync(buildProbe('pid1-probe')));
    for (const user of ['user', 'root']) {
      const { exit, stdout } = await run(sandbox.link, [probe], { user });
      assert.equal(stdout.trim().split('\n').length, 6, stdout);
      assert.equal(exit.exitCode, 0, `${user}: ${stdout}`);
    }
  });

  test('G3 no_new_privs and the filter are on for any command', async () => {
    for (const user of ['user', 'root']) {
      const status = await statusOf(sandbox, { user });
      assert.equal(status.get('NoNewPrivs'), '1');
      assert.equal(status.get('Seccomp'), '2');
    }
  });

  test('G4 a command of root has no capability, whatever the container has', async () => {
    const status = await statusOf(sandbox, { user: 'root' });
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb'])
      assert.equal(status.get(set), '0'.repeat(16), set);
    assert.equal(status.get('Uid')?.split('\t')[0], '0');
    const { exit } = await run(sandbox.link, ['bash', '-c', ': > /home/user/as-root'], { user: 'root' });
    assert.notEqual(exit.exitCode, 0);
  });

  test('G5 a command has three descriptors and cannot reach folders of the host through others', async () => {
    const descriptors = await shell(sandbox.link, 'ls /proc/self/fd | sort -n | tr "\\n" " "');
    // The fourth is the folder that ls itself has open.
    assert.equal(descriptors, '0 1 2 3 ');
    for (let descriptor = 3; descriptor <= 20; descriptor += 1) {
      await assert.rejects(
        run(sandbox.link, ['pwd'], { cwd: `/proc/self/fd/${descriptor}` }),
        /cwd|CWD|folder|directory/i,
      );
    }
  });

  test('G7 an environment given to a command shows nowhere but in that command', async () => {
    const canary = 'c4n4ry-of-a-claim-8f2d';
    const encoded = Buffer.from(canary).toString('base64').replaceAll('=', '');
    const env = { SECRET: canary };
    const everyProcess = 'cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | tr "\\0" "\\n"; true';
    const [ran, seenByRoot] = await Promise.all([
      shell(sandbox.link, 'echo $SECRET; sleep 0.3', { env }),
      shell(sandbox.link, everyProcess, { user: 'root' }),
    ]);
    const seenLater = await shell(sandbox.link, everyProcess);
    assert.equal(ran, `${canary}\n`);
    const container = await sandboxes.container(sandbox.id).inspect();
    const image = await sandboxes.docker.getImage(container.Image).inspect();
    const { Pid } = container.State;
    const places = {
      inspect: JSON.stringify(container),
      image: JSON.stringify(image),
      "the guest's environment": readFileSync(`/proc/${Pid}/environ`, 'latin1'),
      "the guest's arguments": readFileSync(`/proc/${Pid}/cmdline`, 'latin1'),
      'other processes, for root': seenByRoot,
      'other processes, for the same user later': seenLater,
    };
    for (const [place, content] of Object.entries(places)) {
      assert.ok(!content.includes(canary) && !content.includes(encoded), place);
    }
  });

  test('every row of the system call policy holds on runc', async () => {
    await assertPolicy(sandbox);
  });

  test('every row of the system call policy holds for root on runc', async () => {
    await assertPolicy(sandbox, { user: 'root' });
  });
});

describe('the guest in a container on runsc', { skip }, () => {
  let engine: TestEngine;
  let sandboxes: DockerSandboxes;
  let sandbox: RunningSandbox | null = null;
  const spec = template({ ociRuntime: 'runsc' });

  before(async () => {
    engine = await useDockerEngine();
    sandboxes = await DockerSandboxes.onBaseImage(engine.dockerHost);
    const { Runtimes } = await sandboxes.docker.info();
    if ('runsc' in Runtimes) sandbox = await sandboxes.boot(spec);
  });

  after(async () => {
    await sandboxes?.[Symbol.asyncDispose]();
    await engine?.[Symbol.asyncDispose]();
  });

  const onRunsc = (name: string, body: (sandbox: RunningSandbox) => Promise<void>) =>
    test(name, async (context) => {
      if (sandbox === null) context.skip('runsc: the engine has no such runtime');
      else await body(sandbox);
    });

  onRunsc('runsc: a sandbox boots and runs a command as its user', async ({ id, link }) => {
    assert.equal(
      await shell(link, 'id -un; cd ~ && touch x && ls', { env: { HOME: '/home/user' } }),
      'user\nx\n',
    );
    assert.equal((await sandboxes.container(id).inspect()).HostConfig.Runtime, 'runsc');
    assert.match(await shell(link, 'cat /proc/version'), /Linux version 4\.4\.0/);
  });

  onRunsc('K1 G4 on runsc a command of root has no capability', async (running) => {
    const status = await statusOf(running, { user: 'root' });
    for (const set of ['CapPrm', 'CapEff']) assert.equal(status.get(set), '0'.repeat(16), set);
  });

  onRunsc('G3 on runsc no_new_privs and the filter are on', async (running) => {
    const status = await statusOf(running);
    assert.equal(status.get('Seccomp'), '2');
  });

  onRunsc('G9 on runsc a sandbox is adopted', async ({ id, link }) => {
    link.close();
    const { transport, resync } = await sandboxes.runtime.adopt(id);
    assert.equal(resync, true);
    sandbox = {
      id,
      link: await openLink(transport, resync),
    };
    assert.equal(await shell(sandbox.link, 'echo adopted'), 'adopted\n');
  });

  onRunsc('the system call policy holds on runsc', async (running) => {
    await assertPolicy(running);
  });
});

async function assertPolicy({ link }: RunningSandbox, options: CommandOptions = {}): Promise<void> {
  const probe = await putProgram(
    link,
    `seccomp-probe-${options.user ?? 'user'}`,
    readFileSync(buildProbe('seccomp-probe')),
  );
  const { exit, stdout } = await run(link, [probe, '--stacked'], options);
  const rows = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    rows.filter(({ ok }) => !ok),
    [],
  );
  assert.ok(rows.length > 50, `${rows.length} rows`);
  assert.equal(exit.exitCode, 0);
}

async function statusOf(
  { link }: RunningSandbox,
  options: CommandOptions = {},
): Promise<Map<string, string>> {
  const { stdout } = await run(link, ['cat', '/proc/self/status'], options);
  return new Map(
    stdout
      .split('\n')
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]),
  );
}
