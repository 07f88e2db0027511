import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { decodeControlMap } from '../../protocol/control-map.ts';
import { parseFileEntry, parseWatchRecord } from '../../protocol/file-answers.ts';
import { messageTypes } from '../../protocol/message-types.ts';
import type { ParseResult } from '../../protocol/parse-result.ts';
import { parsePortRecord } from '../../protocol/port-messages.ts';
import { encodeRecord, RecordReader } from '../../protocol/record-reader.ts';
import { bytesOf, inWords, must, readSocketVectors } from './vectors.ts';

const vectors = readSocketVectors();

const parsers = new Map<number, (record: Uint8Array) => ParseResult<unknown>>([
  [messageTypes.FileList.code, parseFileEntry],
  [messageTypes.FileWatch.code, parseWatchRecord],
  [messageTypes.PortWatch.code, parsePortRecord],
]);

describe('the record reader', () => {
  for (const { name, of, records, hex } of vectors.records) {
    it(`reads ${name}, cut at every byte`, () => {
      const bytes = bytesOf(hex);
      for (let cut = 0; cut <= bytes.length; cut += 1) {
        const reader = new RecordReader(decodeControlMap);
        const seen = [
          ...must(reader.push(bytes.subarray(0, cut))),
          ...must(reader.push(bytes.subarray(cut))),
        ];
        assert.deepEqual(seen.map(inWords), records, `cut at ${cut}`);
        assert.ok(reader.isAtBorder);
      }
      const typed = new RecordReader(parsers.get(of) ?? assert.fail('no parser'));
      assert.equal(must(typed.push(bytes)).length, records.length);
    });

    it(`reads ${name} in pieces of every size, and knows where a record was cut off`, () => {
      const bytes = bytesOf(hex);
      for (let size = 1; size <= bytes.length; size += 1) {
        const reader = new RecordReader(decodeControlMap);
        const seen: unknown[] = [];
        for (let offset = 0; offset < bytes.length; offset += size) {
          seen.push(...must(reader.push(bytes.subarray(offset, offset + size))));
        }
        assert.deepEqual(seen.map(inWords), records, `pieces of ${size}`);
        assert.ok(reader.isAtBorder);
      }
      for (let end = 1; end < bytes.length; end += 1) {
        const reader = new RecordReader(decodeControlMap);
        const whole = must(reader.push(bytes.subarray(0, end))).length;
        const border = wholeBytes(bytes, whole);
        assert.equal(reader.isAtBorder, border === end, `end at ${end}`);
      }
    });
  }

  for (const { name, of, hex } of vectors.brokenRecords) {
    it(`refuses ${name}, and everything after it`, () => {
      const parse = parsers.get(of) ?? assert.fail('no parser');
      const bytes = bytesOf(hex);
      for (let cut = 0; cut <= bytes.length; cut += 1) {
        const reader = new RecordReader(parse);
        reader.push(bytes.subarray(0, cut));
        assert.ok('error' in reader.push(bytes.subarray(cut)));
        assert.ok('error' in reader.push(encodeRecord(new Uint8Array([0x80]))));
      }
    });
  }

  it('takes the longest record a byte at a time, in linear time', () => {
    const record = encodeRecord(bytesOf('81a16b da fff9 78*65529'));
    assert.equal(record.length, 65_537);
    const reader = new RecordReader(decodeControlMap);
    let seen = 0;
    const began = process.cpuUsage();
    for (let offset = 0; offset < record.length; offset += 1) {
      seen += must(reader.push(record.subarray(offset, offset + 1))).length;
    }
    assert.equal(seen, 1);
    // Of the processor's time: how long that takes is also a matter of who else wants it.
    const { user, system } = process.cpuUsage(began);
    assert.ok(user + system < 1_000_000, `${user + system} µs`);
  });
});

/** Bytes of the first records. */
function wholeBytes(bytes: Uint8Array, records: number): number {
  let offset = 0;
  for (let index = 0; index < records; index += 1) {
    offset += 2 + (bytes[offset] ?? 0) * 256 + (bytes[offset + 1] ?? 0);
  }
  return offset;
}
