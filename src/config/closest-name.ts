/**
 * `; did you mean X?`, or nothing when no known name is near. Names that all begin with the same `prefix` are compared
 * without it: it says nothing about which one was meant.
 */
export function didYouMean(written: string, known: readonly string[], prefix = ''): string {
  const meant = closestName(
    withoutPrefix(written, prefix),
    known.map((name) => withoutPrefix(name, prefix)),
  );
  return meant === null
    ? ''
    : `; did you mean ${known.find((name) => withoutPrefix(name, prefix) === meant)}?`;
}

function closestName(written: string, known: readonly string[]): string | null {
  let best: string | null = null;
  // A third of the letters wrong is a typing mistake; more than that is another word.
  let bestDistance = Math.floor(written.length / 3) + 1;
  for (const name of known) {
    const distance = editDistance(written.toLowerCase(), name.toLowerCase());
    if (distance < bestDistance) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

function withoutPrefix(name: string, prefix: string): string {
  return name.startsWith(prefix) ? name.slice(prefix.length) : name;
}

/** Letters to add, drop, change or swap with their neighbour (optimal string alignment), row by row. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (last[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const isSwap = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      const swap = isSwap ? (beforeLast[j - 2] ?? 0) + 1 : change;
      row.push(Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, change, swap));
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}
