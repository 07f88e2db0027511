import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, type LoggerOptions } from '../../src/observability/logger.ts';

function capture(options: Partial<LoggerOptions> = {}) {
  const lines: string[] = [];
  const log = createLogger({ level: 'debug', out: { write: (text) => lines.push(text) }, ...options });
  return { log, lines, fields: () => JSON.parse(lines.at(-1) ?? '') as Record<string, unknown> };
}

/** Line ends, terminal commands, direction marks, JSON and the separators JavaScript takes for line ends. */
const hostile = [
  'a\r\nlevel=error fake line',
  '\u001b[2J\u001b]0;title\u0007',
  '\u202egnp.exe\u202c',
  '{"level":"error","msg":"fake"}',
  '"} {"level":"error"',
  'a\u2028b\u2029c',
  '\u0085\u009b31m',
  '\ufeff\u200e\u2066x\u2069',
  '\0',
  '\ud800',
];

test('A16 a line is one JSON object with level, time and message', () => {
  const { log, lines, fields } = capture();
  log.info({ pool: 'base', ready: 3, took: undefined, ok: true, none: null }, 'pool is full');
  assert.equal(lines.length, 1);
  const { time, ...rest } = fields();
  assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
  assert.deepEqual(rest, {
    level: 'info',
    pool: 'base',
    ready: 3,
    ok: true,
    none: null,
    msg: 'pool is full',
  });
});

for (const text of hostile) {
  test(`A16 ${JSON.stringify(text)} as a field is one line and nothing a terminal obeys`, () => {
    for (const pretty of [false, true]) {
      const { log, lines } = capture({ pretty });
      log.warn(
        { name: text, [text]: 'as a name', deep: [{ text }], err: new Error(text, { cause: text }) },
        'message',
      );
      // The frames of an error's stack are on lines of their own, for people only.
      const written = lines.join('').replaceAll(/\n {4}at /g, '');
      assert.equal(written.trimEnd().split(/[\r\n\u2028\u2029]/).length, 1);
      const obeyed = [...written.trimEnd()].filter((c) => isObeyed(c.codePointAt(0) ?? 0));
      assert.deepEqual(obeyed, []);
    }
  });
}

function isObeyed(point: number): boolean {
  const isControl = point < 0x20 || (point >= 0x7f && point <= 0x9f);
  return isControl || (point >= 0x202a && point <= 0x202e) || (point >= 0x2066 && point <= 0x2069);
}

test('A16 a long text is cut at 1 KiB and says so', () => {
  const { log, fields } = capture();
  log.info({ text: 'x'.repeat(100_000) }, 'message');
  const text = String(fields().text);
  assert.ok(text.length < 1_100);
  assert.match(text, /\(100000 characters\)$/);
});

test('A16 deep, wide, circular and odd values stay small', () => {
  const { log, lines, fields } = capture();
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const wide = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`k${index}`, index]));
  const odd = {
    big: 10n,
    symbol: Symbol('s'),
    call: Math.max,
    bytes: Buffer.alloc(4_096),
    at: new Date(Number.NaN),
  };
  log.info({ circle, wide, list: Array(1_000).fill('x'), odd, map: new Map([['password', 'p']]) }, 'message');
  assert.ok((lines[0] ?? '').length < 8_192);
  assert.deepEqual(fields().odd, {
    big: '10',
    symbol: 'Symbol(s)',
    call: 'function max() { [native code] }',
    bytes: '[4096 bytes]',
    at: 'Invalid Date',
  });
  assert.deepEqual(fields().map, { password: '[redacted]' });
});

test('A17 secrets are taken out by the name of their field, at any depth', () => {
  const { log, lines } = capture();
  const secrets = {
    apiKey: 'canary',
    'api-key': 'canary',
    Authorization: 'canary',
    data_token: 'canary',
    password: { nested: 'canary' },
    env: { TOKEN: 'canary' },
    redisUrl: 'canary',
    sha256: 'canary',
  };
  log.with({ token: 'canary' }).info({ ...secrets, deep: { deeper: [secrets] } }, 'message');
  assert.doesNotMatch(lines.join(''), /canary/);
});

test('A17 secrets are taken out of texts: URLs with credentials, bearer tokens', () => {
  const { log, lines } = capture();
  const texts = [
    'connect redis://user:canary@host:1',
    'rediss://:canary@h',
    'Authorization: Bearer canary.canary-canary',
    'basic Y2FuYXJ5canary==',
  ];
  const inner = Object.assign(new Error(texts[0]), {
    code: 'ECONNREFUSED',
    request: { headers: 'canary' },
    password: 'canary',
  });
  log.error({ texts, err: new Error(texts[2], { cause: inner }) }, 'message');
  assert.doesNotMatch(lines.join(''), /canary/);
  assert.match(lines.join(''), /ECONNREFUSED/);
});

test('an error is said with its type, code, message, frames and causes', () => {
  const { log, fields } = capture();
  const cause = Object.assign(new TypeError('inner'), { code: 'EINNER' });
  log.error({ err: new Error('outer', { cause }) }, 'message');
  const err = fields().err as Record<string, unknown>;
  assert.equal(err.type, 'Error');
  assert.equal(err.message, 'outer');
  assert.ok(Array.isArray(err.stack) && String(err.stack[0]).startsWith('at '));
  const inner = err.cause as Record<string, unknown>;
  assert.deepEqual([inner.type, inner.code, inner.message], ['TypeError', 'EINNER', 'inner']);
});

test('an endless chain of causes ends', () => {
  const { log, lines } = capture();
  const error = new Error('round');
  error.cause = error;
  log.error({ err: error }, 'message');
  assert.equal(lines.length, 1);
});

test('lines below the level are not written, and `silent` writes nothing', () => {
  const quiet = capture({ level: 'warn' });
  quiet.log.info({}, 'no');
  quiet.log.warn({}, 'yes');
  assert.equal(quiet.lines.length, 1);
  const silent = capture({ level: 'silent' });
  silent.log.error({}, 'no');
  assert.equal(silent.lines.length, 0);
});

test('a line for people has the time, the level, the message and the fields', () => {
  const { log, lines } = capture({ pretty: true });
  log.with({ pool: 'base' }).warn({ why: 'two words', ready: 3 }, 'pool is low');
  assert.match(
    lines[0] ?? '',
    /^\d\d:\d\d:\d\d\.\d{3} warn {2}pool is low pool=base why="two words" ready=3\n$/,
  );
});
