/** The known name a person most likely meant, or null when none is near enough to be worth suggesting. */
export function closestName(written: string, known: readonly string[]): string | null {
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

/** `; did you mean X?`, or nothing. */
export function didYouMean(written: string, known: readonly string[]): string {
  const name = closestName(written, known);
  return name === null ? '' : `; did you mean ${name}?`;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
