const unitMs = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const;

/** Reads `90s`, `5m`, `1h30m`, `250ms`: whole numbers with units, biggest first, each at most once. null otherwise. */
export function parseDuration(text: string): number | null {
  const match = /^(?:(\d{1,6})d)?(?:(\d{1,8})h)?(?:(\d{1,8})m)?(?:(\d{1,9})s)?(?:(\d{1,12})ms)?$/.exec(text);
  if (match === null || text === '') return null;
  const counts = match.slice(1).map((digits) => Number(digits ?? 0));
  return Object.values(unitMs).reduce((sum, unit, index) => sum + unit * (counts[index] ?? 0), 0);
}

/** The two biggest units, rounded down: `1h30m`, `4m59s`, `12s`, `250ms`. */
export function formatDuration(durationMs: number): string {
  let left = Math.max(0, Math.floor(durationMs));
  if (left < 1_000) return `${left}ms`;
  const parts: string[] = [];
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    const count = Math.floor(left / unitMs[unit]);
    left -= count * unitMs[unit];
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
  }
  return parts.slice(0, 2).join('');
}
