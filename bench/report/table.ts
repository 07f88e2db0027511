import type { Figure, Gate, Outcome } from '../outcome.ts';

/** The result as Markdown that also reads well on a terminal: the figures, then the gates, then what was left out. */
export function renderOutcomes(outcomes: readonly Outcome[]): string {
  const measured = outcomes.filter((outcome) => outcome.kind === 'measured');
  const left = outcomes.filter((outcome) => outcome.kind === 'skipped');
  const figures = measured.flatMap(({ subject, figures }) => figures.map((each) => figureRow(subject, each)));
  const gates = measured.flatMap(({ subject, on, gates }) => gates.map((gate) => gateRow(subject, on, gate)));
  const notes = measured.flatMap(({ subject, on, notes }) =>
    notes.map((note) => `- ${subject}${on === '' ? '' : ` on ${on}`}: ${note}`),
  );
  return [
    table(['', 'what', 'n', 'p50', 'p95', 'p99', 'max', 'unit'], figures, 2),
    ...(gates.length > 0 ? ['', table(['', 'on', 'gate', 'measured', 'from', ''], gates, 6)] : []),
    ...(notes.length > 0 ? ['', ...notes] : []),
    ...(left.length > 0
      ? ['', ...left.map(({ subject, on, why }) => `- skipped: ${subject} on ${on}: ${why}`)]
      : []),
  ].join('\n');
}

function figureRow(subject: string, figure: Figure): readonly string[] {
  if (figure.kind === 'single')
    return [subject, figure.name, '', number(figure.value), '', '', '', figure.unit];
  const { name, count, p50, p95, p99, max, unit } = figure;
  return [subject, name, String(count), ...[p50, p95, p99, max].map(number), unit];
}

function gateRow(subject: string, on: string, gate: Gate): readonly string[] {
  return [subject, on, gate.rule, number(gate.measured), gate.computed, gate.verdict];
}

/** Three significant digits below a thousand: more would be noise. */
export function number(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 1_000) return value.toFixed(0);
  if (value === 0) return '0';
  const decimals = Math.min(Math.max(2 - Math.floor(Math.log10(Math.abs(value))), 0), 4);
  return value.toFixed(decimals);
}

/** Columns from `numbersFrom` on hold numbers and are set to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[], numbersFrom: number): string {
  const widths = head.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${widths.map((width, column) => pad(cells[column] ?? '', width, column >= numbersFrom)).join(' | ')} |`;
  const rule = widths.map((width, column) =>
    column >= numbersFrom ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return [line(head), `| ${rule.join(' | ')} |`, ...rows.map(line)].join('\n');
}

function pad(text: string, width: number, isNumber: boolean): string {
  return isNumber ? text.padStart(width) : text.padEnd(width);
}
