import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command, type CommanderError } from 'commander';
import { packageRoot } from '../package-root.ts';
import { defaultAddress } from './connection.ts';
import { addCopyCommand } from './copy-command.ts';
import { addExecCommands } from './exec-commands.ts';
import { exitCodes } from './failure.ts';
import { addKeyCommands } from './key-commands.ts';
import { addNodeCommands } from './node-commands.ts';
import { addPoolCommands } from './pool-commands.ts';
import { addPortForwardCommand } from './port-forward-command.ts';
import { addSandboxCommands } from './sandbox-commands.ts';
import { addShellCommand } from './shell-command.ts';
import { addTopCommand } from './top-command.ts';
import { addWatchCommand } from './watch-command.ts';

/** What the command line cannot do by itself: main.ts wires the service. */
export interface ProgramActions {
  readonly serve: (options: ServeOptions) => Promise<void>;
}

/** As text: the configuration says what they may be. */
export interface ServeOptions {
  readonly config?: string;
  readonly role?: string;
  readonly workers?: string;
}

/** The command line. Everything but `serve`, `keys` and `version` is a client of a running service. */
export function buildProgram(actions: ProgramActions): Command {
  const program = new Command('warmpool')
    .description('Pre-booted sandboxes, handed out over gRPC.')
    .option('--address <host:port>', `the service (default: WARMPOOL_ADDRESS or ${defaultAddress})`)
    .configureHelp({ showGlobalOptions: true })
    .showHelpAfterError('(add --help for how to use it)')
    .addHelpText('after', notes)
    // Commands made from here on inherit it. `--help` ends with 0, a mistake on the command line with 2.
    .exitOverride((error: CommanderError) => {
      process.exit(error.exitCode === 0 ? 0 : exitCodes.usage);
    });

  program
    .command('serve')
    .description('run the service')
    .option('--config <file>', 'YAML file with settings; the environment overrides it')
    .option('--role <role>', 'all, allocator (serves calls) or node (has sandboxes); the last two need Redis')
    .option('--workers <count>', 'processes that serve calls at the same ports (default: this one alone)')
    .action((options: ServeOptions) => actions.serve(options));
  addSandboxCommands(program);
  addExecCommands(program);
  addShellCommand(program);
  addCopyCommand(program);
  addPortForwardCommand(program);
  addTopCommand(program);
  addWatchCommand(program);
  addPoolCommands(program);
  addNodeCommands(program);
  addKeyCommands(program);
  program
    .command('version')
    .description('print the version')
    .action(() => void process.stdout.write(`${readVersion()}\n`));
  return program;
}

const notes = `
Environment:
  WARMPOOL_ADDRESS  the service, when --address is not given
  WARMPOOL_API_KEY  your key, when the service has keys
  NO_COLOR          no colours; there are none either when the output is not a terminal

Exit codes:
  0 done; 2 wrong usage; 124 the command's --timeout was up; 125 warmpool could not do it; 126 the command is not
  executable; 127 it was not found; 128+n signal n ended it; otherwise the command's own.

Durations read like 90s, 5m or 1h30m.`;

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8'));
  return String(version);
}
