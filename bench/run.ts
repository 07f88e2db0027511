import { micro } from './micro.ts';
import { parseOptions, UsageError, usage } from './options.ts';
import type { Outcome } from './outcome.ts';
import { describeMachine, machineSentence } from './report/machine.ts';
import { type Result, storeResult, writeReadmeTable } from './report/results.ts';
import { renderOutcomes } from './report/table.ts';
import { type Bench, PartMissing, type Subject, skipped } from './subject.ts';
import { bulk } from './subjects/bulk.ts';
import { claimAtScale } from './subjects/claim-at-scale.ts';
import { createOnHit } from './subjects/create-on-hit.ts';
import { execTrue } from './subjects/exec-true.ts';
import { hitRatio } from './subjects/hit-ratio.ts';
import { idleCost } from './subjects/idle-cost.ts';
import { interactive } from './subjects/interactive.ts';
import { keystroke } from './subjects/keystroke.ts';
import { missWhileRefilling } from './subjects/miss-while-refilling.ts';

/** In the order of GATES.md. */
const subjects: readonly Subject[] = [
  createOnHit,
  execTrue,
  interactive,
  missWhileRefilling,
  keystroke,
  bulk,
  claimAtScale,
  idleCost,
  hitRatio,
  micro,
];
/** Runs only when it is named: it has no gates and takes its time. */
const onlyWhenNamed = new Set(['micro']);

/** Everything that was started has been closed when it arrives at the end of this file. */
class Stopped extends Error {}

async function main(): Promise<void> {
  const ids = subjects.flatMap((subject) => [subject.id, ...(subject.with ?? [])]);
  const options = parseOptions(process.argv.slice(2), ids);
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => stop.abort(new Stopped(`stopped by ${signal}`)));
  }
  const progress = (sentence: string) => process.stderr.write(`  ${sentence}\n`);
  const bench: Bench = { options, signal: stop.signal, progress };

  const machine = await describeMachine();
  const outcomes: Outcome[] = [];
  for (const subject of subjects) {
    const names = [subject.id, ...(subject.with ?? [])];
    const isChosen = options.only
      ? names.some((name) => options.only?.has(name))
      : !onlyWhenNamed.has(subject.id);
    if (!isChosen) continue;
    stop.signal.throwIfAborted();
    progress(`${names.join(', ')} …`);
    outcomes.push(...(await outcomesOf(subject, bench)));
  }

  const command = ['npm run bench --', ...process.argv.slice(2).filter((word) => word !== '--write-readme')];
  const at = new Date().toISOString();
  const result: Result = { at, command: command.join(' '), machine, outcomes };
  const path = await storeResult(result);
  const text = renderOutcomes(outcomes);
  if (options.writeReadme) {
    const from = `\`${result.command}\`, ${at.slice(0, 10)}, ${machineSentence(machine)}`;
    await writeReadmeTable(`\n${from}\n\n${text}\n`);
  }
  process.stdout.write(
    options.json ? `${JSON.stringify(result)}\n` : `\n${machineSentence(machine)}\n\n${text}\n\n`,
  );
  progress(`stored in ${path}`);
}

async function outcomesOf(subject: Subject, bench: Bench): Promise<readonly Outcome[]> {
  try {
    return await subject.run(bench);
  } catch (error) {
    if (error instanceof PartMissing) return [skipped(subject.id, 'this host', error.message)];
    throw error;
  }
}

try {
  await main();
} catch (error) {
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const isUsage = error instanceof UsageError;
  const words = isUsage ? `${message}\n\n${usage}` : error instanceof Stopped ? message : stack;
  process.stderr.write(`bench: ${words}\n`);
  process.exitCode = isUsage ? 2 : 1;
}
