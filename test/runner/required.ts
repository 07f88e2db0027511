import { findProgram } from '../support/docker-engine.ts';
import type { TestEngineChoice } from './choose-engine.ts';
import type { SkippedTest } from './summary.ts';

/** What WARMPOOL_REQUIRE can list: with it, a skip of that part is a failure. */
const parts = {
  redis: /redis/i,
  docker: /docker|engine/i,
  bubblewrap: /bubblewrap|bwrap/i,
} as const;

type Part = keyof typeof parts;

export function requirementsOf(
  text: string | undefined,
): { readonly names: readonly Part[] } | { readonly error: string } {
  const names = (text ?? '')
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const unknown = names.filter((name) => !isPart(name));
  if (unknown.length > 0) {
    return {
      error: `WARMPOOL_REQUIRE: ${unknown.join(', ')} is not one of ${Object.keys(parts).join(', ')}`,
    };
  }
  return { names: names.filter(isPart) };
}

/** A sentence for each required part that is not to be had, before an hour of tests says the same. */
export function missingRequirements(
  required: readonly Part[],
  engine: TestEngineChoice | null,
): readonly string[] {
  const why: Record<Part, string | null> = {
    redis: findProgram('redis-server') === null ? 'redis-server is not installed' : null,
    docker:
      engine === null || engine.dockerHost === null ? (engine?.why ?? 'no engine was looked for') : null,
    bubblewrap: findProgram('bwrap') === null ? 'bwrap is not installed' : null,
  };
  return required.flatMap((part) =>
    why[part] === null ? [] : [`WARMPOOL_REQUIRE lists ${part}, but ${why[part]}`],
  );
}

/** Skipped tests that are about a required part, by their file, name or reason. */
export function skipsAgainst(
  required: readonly Part[],
  skips: readonly SkippedTest[],
): readonly SkippedTest[] {
  return skips.filter((skip) =>
    required.some((part) => parts[part].test(`${skip.file} ${skip.name} ${skip.reason}`)),
  );
}

function isPart(name: string): name is Part {
  return Object.hasOwn(parts, name);
}
