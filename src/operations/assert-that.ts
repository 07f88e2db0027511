/** A programmer error is an assertion with a sentence, left on. */
export function assertThat(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${sentence}`);
}
