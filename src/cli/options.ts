import { InvalidArgumentError } from 'commander';
import { parseDuration } from './duration.ts';

/** `K=V`, repeated: later ones win. The value may be empty and may hold `=`. */
export function collectPair(text: string, pairs: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('Write it as NAME=VALUE.');
  return { ...pairs, [text.slice(0, at)]: text.slice(at + 1) };
}

export function collect(text: string, texts: readonly string[] = []): readonly string[] {
  return [...texts, text];
}

export function durationOption(text: string): number {
  const durationMs = parseDuration(text);
  if (durationMs === null) throw new InvalidArgumentError('Write it like 90s, 5m or 1h30m.');
  return durationMs;
}

export function countOption(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number, 0 or more.');
  return Number(text);
}

/** Flags as the client takes them: what was not given is not there at all. */
export function given<T extends object>(flags: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: Exclude<T[Name], undefined>;
  };
}
