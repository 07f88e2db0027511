/**
 * Every way to misspell one field of a document: copies of it in which one key has a letter too many. Whoever checks the
 * document must refuse each of them. Keys below `free` are words of ours, of which every one is right.
 */
export function* misspelt(
  document: unknown,
  free: ReadonlySet<string>,
  path: readonly (string | number)[] = [],
): Generator<{ readonly place: string; readonly document: unknown }> {
  if (Array.isArray(document)) {
    for (const [index, value] of document.entries()) {
      for (const wrong of misspelt(value, free, [...path, index]))
        yield { place: wrong.place, document: document.with(index, wrong.document) };
    }
    return;
  }
  if (typeof document !== 'object' || document === null) return;
  const isFree = path.some((step) => free.has(String(step)));
  for (const [key, value] of Object.entries(document)) {
    const { [key]: _taken, ...rest } = document as Record<string, unknown>;
    if (!isFree) yield { place: [...path, key].join('.'), document: { ...rest, [`${key}x`]: value } };
    for (const wrong of misspelt(value, free, [...path, key]))
      yield { place: wrong.place, document: { ...rest, [key]: wrong.document } };
  }
}
