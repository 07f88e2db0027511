import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { WholeCharacters } from '../../src/data-plane/xgen/whole-characters.ts';

test('text cut anywhere comes out whole, in pieces that each decode by themselves', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme', maxLength: 200 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      fc.integer({ min: 4, max: 16 }),
      (text, cuts, bytesMax) => {
        const characters = new WholeCharacters();
        const bytes = Buffer.from(text);
        const pieces: Uint8Array[] = [];
        for (let at = 0, cut = 0; at < bytes.length; cut++) {
          const length = cuts[cut % cuts.length] ?? 1;
          pieces.push(...characters.push(bytes.subarray(at, at + length), bytesMax));
          at += length;
        }
        assert.equal(characters.holds, false);
        const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
        assert.equal(pieces.map((piece) => strict.decode(piece)).join(''), bytes.toString());
        assert.ok(pieces.every((piece) => piece.length > 0 && piece.length <= bytesMax));
      },
    ),
    { numRuns: 500 },
  );
});

test('any bytes come out as they went in, and at most three are held', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
      const characters = new WholeCharacters();
      const out: Uint8Array[] = [];
      for (const chunk of chunks) out.push(...characters.push(chunk, 16));
      const last = characters.flush();
      assert.ok(last.length <= 3);
      assert.deepEqual(Buffer.concat([...out, last]), Buffer.concat(chunks));
    }),
    { numRuns: 500 },
  );
});
