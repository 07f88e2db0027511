const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `0 B`, `999 B`, `1.2 kB`, `340 MB`: three digits at most, in powers of 1,000. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${units[unit]}`;
}
