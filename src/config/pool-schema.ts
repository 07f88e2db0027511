import { z } from 'zod';
import {
  argvEntriesMax,
  cpuMax,
  cpuMin,
  customisationBytesMax,
  cwdBytesMax,
  diskMbMax,
  diskMbMin,
  envEntriesMax,
  envNameBytesMax,
  envValueBytesMax,
  execBytesMax,
  leaseTtlMsMax,
  leaseTtlMsMin,
  memoryMbMax,
  memoryMbMin,
  poolNamePattern,
  userBytesMax,
} from '../domain/limits.ts';
import { formatDuration, parseDuration } from './duration.ts';

/**
 * What a pool file may say. Every field has a default but `name`; a field that is not here is an error; a value over a
 * limit is refused, never clamped. Texts with a NUL are refused everywhere: the kernel would cut them there.
 */

/** A boot that takes longer holds one of the few start slots for nothing. */
const bootTimeoutMsMax = 600_000;
/** Ready sandboxes are cheap to replace; older than a month they miss a month of image updates. */
const maxIdleAgeMsMax = 30 * 86_400_000;
/** One node's uid range and one Redis shard both hold far fewer than this. */
const sandboxesMax = 100_000;
/** More starts at once slow each other down long before this (moby/moby#42096). */
const startsInFlightLimit = 1_000;
/** Over this a pool would be larger than any claim history can justify: a thousandth of all claims still find none ready. */
const targetHitRatioMax = 0.999;
/** What is idle for a day is idle; longer is what minReady is for. */
const scaleToZeroAfterMsMax = 86_400_000;
/** Each asks the store once a second: over this they cost more than the creates that they wait for. */
const waitingLimit = 10_000;
const warmupCommandsMax = 64;
/** A day: what is forgotten goes, and a working day is never cut short. */
export const maxLifetimeMsDefault = 86_400_000;
/** The longest reference that registries take. */
const imageBytesMax = 255;

function duration(minMs: number, maxMs: number) {
  const message = `must be a duration such as 30s, 5m, 1h or 24h, from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
  return z.string({ error: message }).transform((text, context) => {
    const durationMs = parseDuration(text);
    if (durationMs !== null && durationMs >= minMs && durationMs <= maxMs) return durationMs;
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });
}

function integer(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  return z.int({ error: message }).min(min, message).max(max, message);
}

function text(bytesMax: number) {
  return z
    .string({ error: 'must be text; write numbers, true and false in quotes' })
    .refine((value) => Buffer.byteLength(value) <= bytesMax, `must not be over ${bytesMax} bytes`)
    .refine((value) => !value.includes('\0'), 'must not hold a NUL');
}

function oneOf<const Choices extends readonly [string, ...string[]]>(choices: Choices) {
  return z.enum(choices, { error: `must be one of ${choices.join(', ')}` });
}

function section<Shape extends z.ZodRawShape>(shape: Shape) {
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'invalid_type' ? 'must be a mapping of fields' : undefined),
  });
}

const absolutePath = text(cwdBytesMax).refine((path) => path.startsWith('/'), 'must be an absolute path');

const argv = z
  .array(text(execBytesMax), {
    error: 'must be a list of words, such as ["npm", "ci"]; no shell is involved',
  })
  .min(1, 'must name a program')
  .max(argvEntriesMax, `must not have over ${argvEntriesMax} words`)
  .refine((words) => words[0] !== '', 'must name a program')
  .refine((words) => bytesOf(words) <= execBytesMax, `must not be over ${execBytesMax} bytes in all`);

const environment = z
  .record(text(envNameBytesMax).regex(/^[^=]+$/, 'must be a name without ='), text(envValueBytesMax), {
    error: (issue) => (issue.code === 'invalid_type' ? 'must be a mapping of names to texts' : undefined),
  })
  .refine((env) => Object.keys(env).length <= envEntriesMax, `must not have over ${envEntriesMax} entries`)
  .refine(
    (env) => bytesOf(Object.entries(env).flat()) <= Math.min(customisationBytesMax, execBytesMax),
    `must not be over ${Math.min(customisationBytesMax, execBytesMax)} bytes in all`,
  );

const cpuRange = `must be a number of cores from ${cpuMin} to ${cpuMax}`;

const resources = section({
  cpu: z.number({ error: cpuRange }).min(cpuMin, cpuRange).max(cpuMax, cpuRange).default(1),
  memoryMb: integer(memoryMbMin, memoryMbMax).default(512),
  diskMb: integer(diskMbMin, diskMbMax).default(1024),
  /** The guest, a shell and what it starts: fewer cannot run a pipeline. 4194304 is the kernel's pid_max limit. */
  pids: integer(8, 4_194_304).default(256),
});

const template = section({
  image: text(imageBytesMax)
    .regex(/^[^\s-]\S*$/, 'must be an image reference')
    .default('warmpool/base'),
  rootfs: text(cwdBytesMax)
    .refine((root) => root === 'host' || root.startsWith('/'), 'must be host or an absolute path')
    .default('host'),
  runtime: oneOf(['auto', 'docker', 'bubblewrap']).default('auto'),
  ociRuntime: text(128)
    .regex(/^[A-Za-z0-9._-]*$/, 'must be the name of a runtime known to the engine')
    .default(''),
  user: text(userBytesMax).min(1, 'must not be empty').default('user'),
  cwd: absolutePath.default('/home/user'),
  env: environment.default({}),
  warmup: z
    .array(argv, { error: 'must be a list of commands, each a list of words' })
    .max(warmupCommandsMax, `must not have over ${warmupCommandsMax} commands`)
    .default([]),
  ready: section({ exec: argv.default(['true']) }).prefault({}),
  resources: resources.prefault({}),
  bootTimeout: duration(1_000, bootTimeoutMsMax).prefault('30s'),
});

const size = section({
  minReady: integer(0, sandboxesMax).default(8),
  maxReady: integer(0, sandboxesMax).default(64),
  maxTotal: integer(1, sandboxesMax).default(256),
  startsInFlightMax: integer(1, startsInFlightLimit).default(4),
  maxIdleAge: duration(1_000, maxIdleAgeMsMax).prefault('1h'),
  onMiss: oneOf(['cold', 'wait', 'fail']).default('cold'),
  targetHitRatio: z
    .number({ error: `must be a number from 0 to ${targetHitRatioMax}` })
    .min(0, `must be a number from 0 to ${targetHitRatioMax}`)
    .max(targetHitRatioMax, `must be a number from 0 to ${targetHitRatioMax}`)
    .default(0.95),
  burst: integer(0, sandboxesMax).default(0),
  scaleToZeroAfter: duration(1_000, scaleToZeroAfterMsMax).prefault('10m'),
}).superRefine((value, context) => {
  const refuse = (path: string, message: string) =>
    context.addIssue({ code: 'custom', path: [path], message });
  if (value.minReady > value.maxReady) {
    refuse('minReady', `is ${value.minReady}, which is over size.maxReady (${value.maxReady})`);
  }
  if (value.burst > value.maxReady) {
    refuse('burst', `is ${value.burst}, which is over size.maxReady (${value.maxReady})`);
  }
  if (value.maxReady > value.maxTotal) {
    refuse('maxReady', `is ${value.maxReady}, which is over size.maxTotal (${value.maxTotal})`);
  }
});

const waiting = section({
  max: integer(0, waitingLimit).default(256),
  perTenantMax: integer(0, waitingLimit).default(64),
});

const lease = section({
  ttl: duration(leaseTtlMsMin, leaseTtlMsMax).prefault('5m'),
  maxLifetime: duration(leaseTtlMsMin, leaseTtlMsMax).optional(),
  onExpiry: z.literal('kill', { error: 'must be kill; nothing else is offered yet' }).default('kill'),
}).superRefine(({ ttl, maxLifetime = maxLifetimeMsDefault }, context) => {
  if (ttl > maxLifetime) {
    context.addIssue({
      code: 'custom',
      path: ['ttl'],
      message: `is ${formatDuration(ttl)}, which is over lease.maxLifetime (${formatDuration(maxLifetime)})`,
    });
  }
});

export const poolSchema = section({
  name: z
    .string({ error: (issue) => (issue.input === undefined ? 'is missing' : 'must be text') })
    .regex(poolNamePattern, 'must be 1 to 63 of a-z, 0-9 and -, not starting or ending with -'),
  template: template.prefault({}),
  size: size.prefault({}),
  waiting: waiting.prefault({}),
  lease: lease.prefault({}),
});

/** The fields of the section at a path: what an unknown one may have been meant to be. */
export function poolFieldsAt(path: readonly PropertyKey[]): readonly string[] {
  const sections: Readonly<Record<string, z.ZodRawShape>> = {
    '': poolSchema.shape,
    template: template.shape,
    'template.ready': { exec: argv },
    'template.resources': resources.shape,
    size: size.shape,
    waiting: waiting.shape,
    lease: lease.shape,
  };
  return Object.keys(sections[path.join('.')] ?? {});
}

function bytesOf(words: readonly string[]): number {
  return words.reduce((total, word) => total + Buffer.byteLength(word) + 1, 0);
}
