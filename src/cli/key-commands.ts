import { type Command, InvalidArgumentError } from 'commander';
import { newApiKey } from '../auth/api-keys.ts';
import { poolNamePattern } from '../domain/limits.ts';
import { type Scope, scopes } from '../domain/scopes.ts';
import { guarded } from './failure.ts';
import { printableJson } from './printable.ts';

export function addKeyCommands(program: Command): void {
  const keys = program.command('keys').description('make API keys');
  keys
    .command('new')
    .description('make a key: print it, and what to configure the service with in its place')
    .requiredOption('--tenant <name>', 'whose key it is: a-z, 0-9 and -', tenantOption)
    .option(
      '--scopes <list>',
      `of ${scopes.join(', ')}, joined by commas (default: all but admin)`,
      scopesOption,
    )
    .option('--json', 'one JSON document')
    .action(guarded(printNewKey));
}

/** The only place that ever shows a key; nothing keeps it. */
async function printNewKey(flags: {
  readonly tenant: string;
  readonly scopes?: readonly Scope[];
  readonly json?: boolean;
}): Promise<void> {
  const { key, entry } = newApiKey(flags.tenant, flags.scopes);
  process.stdout.write(
    flags.json
      ? `${printableJson({ key, entry })}\n`
      : `key    ${key}\nentry  ${entry}\n\nThe key is shown this once; its owner sets WARMPOOL_API_KEY to it. Add the entry to the service's\nWARMPOOL_API_KEYS (entries are separated by commas) and restart it.\n`,
  );
}

/** A tenant's name follows the rule of pool names, as the service's configuration checks it. */
function tenantOption(text: string): string {
  if (poolNamePattern.test(text)) return text;
  throw new InvalidArgumentError('It must be 1 to 63 of a-z, 0-9 and -, not starting or ending with -.');
}

function scopesOption(text: string): readonly Scope[] {
  return text.split(/[,+]/).map((name) => {
    const scope = scopes.find((known) => known === name);
    if (scope === undefined) throw new InvalidArgumentError(`Scopes are ${scopes.join(', ')}.`);
    return scope;
  });
}
