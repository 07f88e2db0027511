import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { finished } from 'node:stream/promises';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { packageRoot } from '../src/package-root.ts';
import { chooseEngine, type TestEngineChoice } from './runner/choose-engine.ts';
import { CompiledTree } from './runner/compiled-tree.ts';
import { takeCosts } from './runner/cost.ts';
import { HangWatch } from './runner/hang-watch.ts';
import { Leftovers, makeRunFolder } from './runner/leftovers.ts';
import { longestFirst } from './runner/order.ts';
import { missingRequirements, requirementsOf, skipsAgainst } from './runner/required.ts';
import { needsEngine, selectTests } from './runner/select-tests.ts';
import { Summary } from './runner/summary.ts';

/**
 * The runner behind `npm test`: `tsx test/run.ts [--soak] [--name PATTERN] [FILE, FOLDER or part of a path …]`.
 *
 * It installs what is missing where it may, gives all tests one Docker engine (one that answers, or a private one that it
 * starts and stops), runs the files with Node's runner, and then says what a green line hides: which tests were skipped
 * and why, which files are slow, and what was left behind. Leaving something behind fails the run, and so does a skip
 * of what WARMPOOL_REQUIRE lists. Node's own `--test` has neither, nor a place to start an engine once.
 */

/**
 * Two cores are the smallest machine we promise to be tested on. A file has three fifths of one on average, because many wait
 * for somebody's death to be noticed: fewer leave the cores idle, and more would only wait for each other.
 */
const filesAtOnce = 4;
/** What takes longer hangs. The slowest tests take a quarter of it, and the slowest files half, on two busy cores. */
const hangLimits = { quietMs: 120_000, fileMs: 600_000 };
/** What is loaded into the process of each test file before it. */
const preload = 'test/runner/in-each-file.ts';

async function main(): Promise<number> {
  const selection = selectTests(packageRoot(), process.argv.slice(2));
  if ('error' in selection) {
    console.error(selection.error);
    return 2;
  }
  const required = requirementsOf(process.env.WARMPOOL_REQUIRE);
  if ('error' in required) {
    console.error(required.error);
    return 2;
  }
  const interrupt = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => interrupt.abort(new Error(`interrupted by ${signal}`)));

  provision();
  const wantsEngine = required.names.includes('docker') || needsEngine(selection.files);
  await using engine = wantsEngine ? await chooseEngine() : null;
  if (engine !== null) announceEngine(engine);
  const missing = missingRequirements(required.names, engine);
  if (missing.length > 0) {
    for (const sentence of missing) console.error(sentence);
    return 1;
  }

  using tree = await CompiledTree.make(packageRoot());
  const runFolder = makeRunFolder(tmpdir());
  process.env.TMPDIR = runFolder;
  await using leftovers = await Leftovers.watch(runFolder, engine?.dockerHost ?? null);
  using hangs = new HangWatch(runFolder, hangLimits, (finding) => console.error(`HUNG: ${finding}`));
  if (!selection.soak) hangs.start();
  // Node starts the files' processes with the options of this one.
  process.execArgv = ['--enable-source-maps', '--import', tree.pathOf(join(packageRoot(), preload))];
  const summary = new Summary();
  const events = run({
    files: longestFirst(packageRoot(), selection.files).map((file) => tree.pathOf(file)),
    concurrency: filesAtOnce,
    signal: interrupt.signal,
    ...(selection.name === null ? {} : { testNamePatterns: selection.name }),
  });
  summary.listen(events);
  const output = events.compose(new spec());
  output.pipe(process.stdout, { end: false });
  await finished(output);

  hangs.look();
  const costs = takeCosts(runFolder);
  const left = await leftovers.find();
  const refusedSkips = skipsAgainst(required.names, summary.skips);
  const interrupted = interrupt.signal.aborted;
  process.stdout.write(
    summary.describe({ costs, left, refusedSkips, hung: interrupted ? [] : hangs.findings, interrupted }),
  );
  if (interrupted) return 130;
  return summary.failed || hangs.findings.length > 0 || left.length > 0 || refusedSkips.length > 0 ? 1 : 0;
}

/** In a process of its own: it is a plain script, because npm runs it before anything is compiled. */
function provision(): void {
  spawnSync(process.execPath, [join(packageRoot(), 'scripts/provision.mjs'), 'test'], { stdio: 'inherit' });
}

/** The files learn of it by their environment: the engine, or why each of them need not look for one again. */
function announceEngine(engine: TestEngineChoice): void {
  if (engine.dockerHost === null) {
    console.log(`no Docker: ${engine.why}`);
    process.env.WARMPOOL_TEST_DOCKER_MISSING = engine.why;
  } else {
    console.log(`Docker: ${engine.why}`);
    process.env.WARMPOOL_TEST_DOCKER_HOST = engine.dockerHost;
  }
}

process.exitCode = await main();
