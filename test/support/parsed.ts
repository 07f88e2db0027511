import type { ParseResult } from '../../protocol/parse-result.ts';

/** What tests encode or parse is sound; where it is not, they say why. */
export function parsed<T>(result: ParseResult<T>): T {
  if ('error' in result) throw new Error(result.error);
  return result.value;
}
