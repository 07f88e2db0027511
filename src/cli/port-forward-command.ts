import { type Command, InvalidArgumentError } from 'commander';
import type { NodeSandbox } from '../client/node/node-sandbox.ts';
import type { PortForward } from '../client/node/port-forward.ts';
import { describeFailure, guarded } from './failure.ts';
import { printableJson } from './printable.ts';
import { interruptible, keptAlive, withSandbox } from './sandbox-session.ts';

export function addPortForwardCommand(program: Command): void {
  program
    .command('port-forward')
    .description('let programs here reach ports of a sandbox, until interrupted')
    .argument('<id>')
    .argument(
      '<ports...>',
      '3000, or 8080:3000 for port 8080 here; 0:3000 for any that is free',
      collectPorts,
    )
    .option('--bind <address>', 'of this machine', '127.0.0.1')
    .option('--json', 'one JSON document for each port')
    .action(guarded(forward));
}

interface ForwardFlags {
  readonly bind: string;
  readonly json?: boolean;
}

interface PortPair {
  readonly local: number;
  readonly inside: number;
}

async function forward(
  id: string,
  pairs: readonly PortPair[],
  flags: ForwardFlags,
  command: Command,
): Promise<void> {
  using interruption = interruptible();
  const { signal } = interruption;
  await withSandbox(command, id, async (sandbox) => {
    using _lease = keptAlive(sandbox);
    const open: PortForward[] = [];
    try {
      for (const pair of pairs) open.push(await openOne(sandbox, id, pair, flags));
      await untilOver(sandbox, signal);
    } finally {
      await Promise.all(open.map((each) => each.close()));
    }
  });
}

async function openOne(
  sandbox: NodeSandbox,
  id: string,
  { local, inside }: PortPair,
  flags: ForwardFlags,
): Promise<PortForward> {
  const onError = (error: unknown) => {
    process.stderr.write(`warmpool: port ${inside}: ${describeFailure(error)}\n`);
  };
  const forward = await sandbox.ports.forward(inside, { localPort: local, host: flags.bind, onError });
  const { host, port } = forward;
  if (flags.json) {
    process.stdout.write(`${printableJson({ host, port, sandbox: id, sandbox_port: inside }, 0)}\n`);
  } else {
    process.stdout.write(`${host}:${port} -> ${inside}\n`);
  }
  return forward;
}

/** Throws when the sandbox cannot be reached any more. */
function untilOver(sandbox: NodeSandbox, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => resolve());
    if (signal.aborted) resolve();
    sandbox.onState((state) => {
      if (state.state === 'closed') reject(state.error);
    });
  });
}

function collectPorts(text: string, pairs: readonly PortPair[] = []): readonly PortPair[] {
  const match = /^(?:(\d{1,5}):)?(\d{1,5})$/.exec(text);
  const inside = Number(match?.[2] ?? 0);
  const local = Number(match?.[1] ?? inside);
  if (match === null || inside < 1 || inside > portMax || local > portMax) {
    throw new InvalidArgumentError('Write it as 3000 or 8080:3000; ports are 1 to 65535.');
  }
  return [...pairs, { local, inside }];
}

const portMax = 65_535;
