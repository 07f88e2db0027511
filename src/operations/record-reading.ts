import type { ParseResult } from '../../protocol/parse-result.ts';
import { RecordReader } from '../../protocol/record-reader.ts';
import { readOnce } from './read-once.ts';
import type { Reading } from './reading.ts';

/** The records of a listing or a watch, one after the other. */
export function recordsOf<T, End>(
  reading: Reading<End>,
  parse: (record: Uint8Array) => ParseResult<T>,
): AsyncIterableIterator<T> {
  const records = new RecordReading(reading, parse);
  return readOnce(
    () => records.read(),
    () => reading.close(),
  );
}

/** Owns the records of one piece of output that have not been read. */
class RecordReading<T, End> {
  readonly #reading: Reading<End>;
  readonly #reader: RecordReader<T>;
  #records: readonly T[] = [];
  #next = 0;
  /** Readings wait for each other, so that two at a time still get the records in order. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(reading: Reading<End>, parse: (record: Uint8Array) => ParseResult<T>) {
    this.#reading = reading;
    this.#reader = new RecordReader(parse);
  }

  read(): Promise<T | undefined> {
    const next = this.#turn.then(() => this.#readNext());
    this.#turn = next.catch(() => {});
    return next;
  }

  async #readNext(): Promise<T | undefined> {
    while (this.#next >= this.#records.length) {
      const bytes = await this.#reading.read();
      if (bytes === undefined) {
        if (this.#reader.isAtBorder) return undefined;
        throw this.#reading.failWrong('the last record is cut off');
      }
      const records = this.#reader.push(bytes);
      if ('error' in records) throw this.#reading.failWrong(records.error);
      this.#records = records.value;
      this.#next = 0;
    }
    const record = this.#records[this.#next];
    this.#next += 1;
    return record;
  }
}
