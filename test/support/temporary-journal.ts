import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../src/domain/clock.ts';
import { BindJournal, type BindJournalDeps } from '../../src/node/bind-journal.ts';
import { SilentLog } from './silent-log.ts';

/** A folder for one test's journals; goes with the test process, or before. */
export class JournalFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'wp-journal-'));
  readonly file = join(this.path, 'claims.journal');
  #count = 0;
  readonly #remove = () => rmSync(this.path, { recursive: true, force: true });

  constructor() {
    process.on('exit', this.#remove);
  }

  /** The journal of `file`, as another run of the same node would find it. */
  open(deps: Partial<BindJournalDeps> = {}, file = this.file): BindJournal {
    const observer = { claimConflict: () => {} };
    return BindJournal.open({ clock: new SystemClock(), observer, log: new SilentLog(), ...deps }, file);
  }

  /** One that nobody has written to. */
  openNew(deps: Partial<BindJournalDeps> = {}): BindJournal {
    this.#count += 1;
    return this.open(deps, join(this.path, `${this.#count}.journal`));
  }

  [Symbol.dispose](): void {
    process.off('exit', this.#remove);
    this.#remove();
  }
}
