import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assertThat } from '../../domain/errors.ts';
import { endedRecordMs, expiredRecordMs, requestMemoryMs } from '../../domain/limits.ts';
import { type SandboxState, sandboxStates } from '../../domain/sandbox.ts';
import { isAllowed, isEnded } from '../../domain/transitions.ts';
import { packageRoot } from '../../package-root.ts';
import { countsAsRunning, hasLease } from '../leased-states.ts';
import { arrivalsPerRound, claimCandidatesMax, eventsPerShardMax, goneWaitersMax } from '../store-limits.ts';
import { type ScriptStatusName, scriptStatus } from './script-status.ts';

/**
 * A Lua script as Redis gets it. The source lies in `lua/<name>.lua`; on loading
 *
 * - `--- @include "name"` is replaced by `lua/includes/name.lua`, each at most once per script;
 * - `--- @transition a -> b` is checked against the table of transitions, so a script that makes a step which the
 *   table does not know cannot be loaded;
 * - the constants it mentions (`STATUS_…`, `LIMIT_…`, `MAY_BECOME_…`, `ENDED`, `LEASED`, `COUNTED`) become locals at its head,
 *   taken from where TypeScript has them. An unknown one is an error.
 *
 * Turned down: templates filled in at run time (a script per set of values would fill the server's script cache), and
 * Redis functions (they need a right to change the server, and a rolling upgrade would change code under old callers).
 */
export interface Script {
  readonly name: string;
  readonly keyCount: number;
  readonly source: string;
  readonly sha: string;
}

const luaFolder = join(packageRoot(), 'src', 'store', 'redis', 'lua');

export function loadScript(name: string, keyCount: number): Script {
  return compileScript(name, readFileSync(join(luaFolder, `${name}.lua`), 'utf8'), keyCount);
}

export function compileScript(name: string, text: string, keyCount: number): Script {
  const [shebang, ...lines] = text.split('\n');
  assertThat(shebang?.startsWith('#!lua') === true, `${name}.lua begins with #!lua and its flags`);
  const body = resolveIncludes(lines.join('\n'), new Set());
  checkTransitions(name, body);
  const source = `${shebang}\n${constantsOf(name, body)}${body}`;
  return { name, keyCount, source, sha: createHash('sha1').update(source).digest('hex') };
}

function resolveIncludes(text: string, seen: Set<string>): string {
  return text.replace(/^--- @include "([a-z-]+)"$/gm, (_line, include: string) => {
    if (seen.has(include)) return '';
    seen.add(include);
    return resolveIncludes(readFileSync(join(luaFolder, 'includes', `${include}.lua`), 'utf8'), seen);
  });
}

function checkTransitions(name: string, body: string): void {
  for (const [, from, to] of body.matchAll(/^--- @transition (\w+) -> (\w+)$/gm)) {
    assertThat(
      isState(from) && isState(to) && isAllowed(from, to),
      `${name}.lua may go from ${from} to ${to} by the table of transitions`,
    );
  }
}

function constantsOf(name: string, body: string): string {
  const code = body.replace(/--\[\[.*?\]\]/gs, '').replace(/--.*$/gm, '');
  const names = new Set(
    code.match(/\b(?:STATUS_[A-Z_]+|LIMIT_[A-Z_]+|MAY_BECOME_[A-Z]+|ENDED|LEASED|COUNTED)\b/g),
  );
  return [...names].map((constant) => `local ${constant} = ${luaValueOf(name, constant)}\n`).join('');
}

function luaValueOf(script: string, constant: string): string {
  if (constant === 'ENDED') return luaSet(sandboxStates.filter(isEnded));
  if (constant === 'COUNTED') return luaSet(sandboxStates.filter(countsAsRunning));
  if (constant === 'LEASED') return luaSet(sandboxStates.filter(hasLease));
  if (constant.startsWith('MAY_BECOME_')) {
    const to = constant.slice('MAY_BECOME_'.length).toLowerCase();
    assertThat(isState(to), `${script}.lua: ${to} is a state`);
    return luaSet(sandboxStates.filter((from) => isAllowed(from, to)));
  }
  const value = constant.startsWith('STATUS_')
    ? scriptStatus[constant.slice('STATUS_'.length) as ScriptStatusName]
    : limits.get(constant);
  assertThat(value !== undefined, `${script}.lua: ${constant} is defined in TypeScript`);
  return String(value);
}

const limits: ReadonlyMap<string, number> = new Map([
  ['LIMIT_CANDIDATES', claimCandidatesMax],
  ['LIMIT_EVENTS', eventsPerShardMax],
  ['LIMIT_GONE_WAITERS', goneWaitersMax],
  ['LIMIT_ARRIVALS', arrivalsPerRound],
  ['LIMIT_REQUEST_MEMORY_MS', requestMemoryMs],
  ['LIMIT_ENDED_RECORD_MS', endedRecordMs],
  ['LIMIT_EXPIRED_RECORD_MS', expiredRecordMs],
]);

function luaSet(states: readonly SandboxState[]): string {
  return `{ ${states.map((state) => `${state} = true`).join(', ')} }`;
}

function isState(text: string | undefined): text is SandboxState {
  return text !== undefined && (sandboxStates as readonly string[]).includes(text);
}
