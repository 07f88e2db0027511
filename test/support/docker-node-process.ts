import { DockerSandboxes, template } from './docker-sandboxes.ts';

/**
 * A node as a process of its own, to be killed: boots a sandbox, keeps its link busy both ways, and prints its id.
 * Arguments: the engine and the node id.
 */
const [dockerHost = '', nodeId = ''] = process.argv.slice(2);
const sandboxes = new DockerSandboxes(dockerHost, nodeId);
const { id, link } = await sandboxes.boot(template());
const noise = await link.spawn(
  {
    argv: ['bash', '-c', 'cat > /dev/null & exec yes a-line-of-noise'],
    env: { PATH: '/usr/bin:/bin' },
    cwd: '/',
    user: 'user',
    stdin: true,
    timeoutMs: 0,
  },
  { onOutput: (_stream, bytes) => noise.release(bytes.length) },
);
process.stdout.write(`${id}\n`);
for (;;) await noise.writeStdin(Buffer.alloc(65_536));
