/**
 * What stands between a log call and the log (A16, A17). Field values come from users, guests and foreign libraries: they
 * are cut at 1 KiB, secrets are taken out by the name of their field and by their look, and characters that a terminal
 * or a viewer would obey rather than show are written as escapes. Messages are ours and constant; they pass as they are.
 */

/** A longer text is cut: one log line stays one network packet or two. */
const textLengthMax = 1_024;
const nameLengthMax = 64;
const depthMax = 4;
const entriesMax = 50;
const causesMax = 4;

/** Names of fields that hold secrets, without case, `-` and `_`. */
const secretNames: ReadonlySet<string> = new Set([
  'apikey',
  'apikeys',
  'authorization',
  'cookie',
  'credentials',
  'datatoken',
  'env',
  'environment',
  'password',
  'passwd',
  'privatekey',
  'redisurl',
  'secret',
  'setcookie',
  'sha256',
  'stdin',
  'token',
]);

const redacted = '[redacted]';

export function safeFields(fields: object): Record<string, unknown> {
  return safeRecord(fields, 0);
}

function safeRecord(fields: object, depth: number): Record<string, unknown> {
  const safe: Record<string, unknown> = {};
  const entries = Object.entries(fields);
  for (const [name, value] of entries.slice(0, entriesMax)) {
    const plainName = name.replace(/[-_]/g, '').toLowerCase();
    safe[safeName(name)] = secretNames.has(plainName) ? redacted : safeValue(value, depth);
  }
  if (entries.length > entriesMax) safe.omitted = `${entries.length - entriesMax} more`;
  return safe;
}

/** Names are ours and plain, but for those inside a logged object; pino writes the outermost ones unescaped. */
function safeName(name: string): string {
  return name.slice(0, nameLengthMax).replace(/[^\w .:/@-]/g, '_');
}

function safeValue(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'string':
      return safeText(value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
    case 'object':
      break;
    default:
      return String(value).slice(0, textLengthMax);
  }
  if (value === null) return null;
  if (value instanceof Error) return safeError(value, 0);
  if (value instanceof Date) return Number.isNaN(value.valueOf()) ? 'Invalid Date' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= depthMax) return '[deeper]';
  if (value instanceof Set) return safeList([...value], depth);
  if (value instanceof Map) return safeRecord(Object.fromEntries(value), depth + 1);
  if (Array.isArray(value)) return safeList(value, depth);
  return safeRecord(value, depth + 1);
}

function safeList(values: readonly unknown[], depth: number): unknown[] {
  const safe = values.slice(0, entriesMax).map((value) => safeValue(value, depth + 1));
  if (values.length > entriesMax) safe.push(`${values.length - entriesMax} more`);
  return safe;
}

/** Name, code, message, stack and the chain of causes; none of the other properties, where libraries keep requests. */
function safeError(error: Error, causes: number): Record<string, unknown> {
  const safe: Record<string, unknown> = { type: safeText(error.name), message: safeText(error.message) };
  if ('code' in error && (typeof error.code === 'string' || typeof error.code === 'number')) {
    safe.code = typeof error.code === 'string' ? safeText(error.code) : error.code;
  }
  if (error.stack !== undefined) safe.stack = stackFrames(error.stack);
  if (error.cause !== undefined && causes < causesMax) {
    safe.cause =
      error.cause instanceof Error ? safeError(error.cause, causes + 1) : safeValue(error.cause, depthMax);
  }
  return safe;
}

/** Only the frames: the message stands beside them already, and may have many lines. */
function stackFrames(stack: string): string[] {
  return stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 12)
    .map((line) => safeText(line.trim()));
}

function safeText(text: string): string {
  const short =
    text.length > textLengthMax ? `${text.slice(0, textLengthMax)}… (${text.length} characters)` : text;
  return withoutObeyed(withoutSecrets(short));
}

/** Credentials in URLs, bearer tokens: the two ways secrets travel inside messages of libraries. */
function withoutSecrets(text: string): string {
  return text
    .replace(/:\/\/[^\s/@]*@/g, `://${redacted}@`)
    .replace(/\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]+/gi, `$1 ${redacted}`);
}

/**
 * Control characters of C1, line separators and the marks that turn the direction of writing. C0 (newline, escape) is
 * left to the JSON encoder, which escapes it anyway.
 */
function withoutObeyed(text: string): string {
  return text.replace(
    /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
