import { BubblewrapSandboxes } from './bubblewrap-sandboxes.ts';

/**
 * A node as a process of its own, to be killed: boots sandboxes, starts daemons in each, and prints what it has to say
 * of its host, and their ids. Arguments: the state folder, the node id, and how many.
 */
const [stateFolder = '', nodeId = '', count = '1'] = process.argv.slice(2);
const sandboxes = new BubblewrapSandboxes(stateFolder, nodeId);
const report = await sandboxes.runtime.inspectHost();
for (const sentence of report.usable ? report.warnings : []) process.stdout.write(`warning: ${sentence}\n`);
for (let index = 0; index < Number(count); index += 1) {
  const { id, link } = await sandboxes.boot();
  await link.spawn(
    {
      argv: ['sh', '-c', 'setsid sh -c "sleep 600 & sleep 600" & exec sleep 600'],
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      user: 'user',
      stdin: false,
      timeoutMs: 0,
    },
    { onOutput: () => undefined },
  );
  process.stdout.write(`${id}\n`);
}
