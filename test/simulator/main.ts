import { parseArgs } from 'node:util';
import { describeFailure, simulate } from './simulation.ts';

/** `npm run sim -- [--seed N] [--events N] [--seeds N] [--trace]`: runs one seed, or some from it on, and says what it found. */
async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seeds: { type: 'string', default: '1' },
      events: { type: 'string', default: '20000' },
      trace: { type: 'boolean', default: false },
    },
  });
  const [first, count, eventsMax] = [Number(values.seed), Number(values.seeds), Number(values.events)];
  let events = 0;
  let tookMs = 0;
  let failures = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    const report = await simulate({
      seed,
      eventsMax,
      ...(values.trace && { onLine: (line) => console.log(line) }),
    });
    events += report.eventCount;
    tookMs += report.tookMs;
    if (report.violation) {
      failures += 1;
      console.log(describeFailure(report, values.trace ? 0 : linesShown, eventsMax));
    } else if (count <= seedsNamed) {
      const { hash, virtualMs, counted } = report;
      console.log(`seed ${seed}: ${Math.round(virtualMs / 1_000)} s, ${hash}, ${JSON.stringify(counted)}`);
    }
    for (const use of report.ambientUses) console.log(`seed ${seed} asked for real time: ${use}`);
  }
  const perSecond = Math.round((events * 1_000) / tookMs);
  console.log(`${events} events, ${perSecond} a second; ${failures} of ${count} seeds found something`);
  return failures > 0 ? 1 : 0;
}

const linesShown = 60;
const seedsNamed = 20;

process.exitCode = await main();
