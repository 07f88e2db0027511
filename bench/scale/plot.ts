/**
 * Line plots as SVG, without a library: both axes logarithmic or linear, lines labelled at their ends. The colours follow
 * the reader's: they are chosen by a media query inside the file, so that one file serves light and dark pages.
 */
export interface Plot {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
  /** A value that is drawn through the whole plot: a limit. */
  readonly limit?: { readonly y: number; readonly label: string };
  readonly mark?: { readonly x: number; readonly label: string };
}

export interface Axis {
  readonly label: string;
  readonly scale: 'linear' | 'log';
  readonly from: number;
  readonly to: number;
  readonly ticks: readonly number[];
  readonly format: (value: number) => string;
}

export interface Line {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  /** Half the height of the bar around each point. */
  readonly within?: readonly number[];
}

export function svgOf(plot: Plot): string {
  const { x, y } = plot;
  const toX = (value: number) => left + position(x, value) * (width - left - right);
  const toY = (value: number) => height - bottom - position(y, value) * (height - top - bottom);
  const parts: string[] = [
    `<text class="title" x="${left}" y="24">${escaped(plot.title)}</text>`,
    ...x.ticks.flatMap((tick) => [
      `<line class="grid" x1="${at(toX(tick))}" x2="${at(toX(tick))}" y1="${top}" y2="${height - bottom}"/>`,
      `<text x="${at(toX(tick))}" y="${height - bottom + 18}" text-anchor="middle">${x.format(tick)}</text>`,
    ]),
    ...y.ticks.flatMap((tick) => [
      `<line class="grid" x1="${left}" x2="${width - right}" y1="${at(toY(tick))}" y2="${at(toY(tick))}"/>`,
      `<text x="${left - 8}" y="${at(toY(tick) + 4)}" text-anchor="end">${y.format(tick)}</text>`,
    ]),
    `<text x="${at((left + width - right) / 2)}" y="${height - 8}" text-anchor="middle">${escaped(x.label)}</text>`,
    `<text transform="translate(16 ${(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">${escaped(y.label)}</text>`,
  ];
  if (plot.limit) {
    const limitY = at(toY(plot.limit.y));
    parts.push(`<line class="limit" x1="${left}" x2="${width - right}" y1="${limitY}" y2="${limitY}"/>`);
    parts.push(`<text x="${left + 6}" y="${at(toY(plot.limit.y) - 6)}">${escaped(plot.limit.label)}</text>`);
  }
  if (plot.mark) {
    const markX = at(toX(plot.mark.x));
    parts.push(`<line class="limit" x1="${markX}" x2="${markX}" y1="${top}" y2="${height - bottom}"/>`);
    parts.push(
      `<text x="${at(toX(plot.mark.x) - 6)}" y="${top + 14}" text-anchor="end">${escaped(plot.mark.label)}</text>`,
    );
  }
  const ends = spread(plot.lines.map(({ points }) => toY(clamp(y, points.at(-1)?.[1] ?? y.from))));
  for (const [index, line] of plot.lines.entries()) {
    const inside = line.points.filter(([, value]) => value >= y.from && value <= y.to);
    const path = inside.map(([px, py]) => `${at(toX(px))},${at(toY(py))}`).join(' ');
    parts.push(`<polyline class="line c${index}" points="${path}"/>`);
    for (const [number, [px, py]] of line.points.entries()) {
      const half = line.within?.[number];
      if (half === undefined) continue;
      const [high, low] = [at(toY(clamp(y, py + half))), at(toY(clamp(y, py - half)))];
      parts.push(
        `<line class="line c${index}" x1="${at(toX(px))}" x2="${at(toX(px))}" y1="${high}" y2="${low}"/>`,
      );
    }
    const endX = toX(inside.at(-1)?.[0] ?? x.to);
    parts.push(
      `<text class="label c${index}" x="${width - right + 8}" y="${at((ends[index] ?? 0) + 4)}">${escaped(line.label)}</text>`,
    );
    parts.push(
      `<circle class="dot c${index}" cx="${at(endX)}" cy="${at(toY(inside.at(-1)?.[1] ?? y.from))}" r="3"/>`,
    );
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escaped(plot.title)}">\n<style>${style()}</style>\n${parts.join('\n')}\n</svg>\n`;
}

function position({ scale, from, to }: Axis, value: number): number {
  if (scale === 'linear') return (value - from) / (to - from);
  return Math.log(value / from) / Math.log(to / from);
}

function clamp({ from, to }: Axis, value: number): number {
  return Math.min(Math.max(value, from), to);
}

/** Labels keep a line's height from each other, in their order. */
function spread(wanted: readonly number[]): readonly number[] {
  const order = wanted.map((value, index) => ({ value, index })).sort((a, b) => a.value - b.value);
  const placed: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (const { value, index } of order) {
    last = Math.max(value, last + labelHeight);
    placed[index] = last;
  }
  return placed;
}

function at(value: number): string {
  return value.toFixed(1);
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');
}

function style(): string {
  const colours = (palette: readonly string[]) =>
    palette
      .map(
        (colour, index) => `.line.c${index}{stroke:${colour}}.label.c${index},.dot.c${index}{fill:${colour}}`,
      )
      .join('');
  return (
    'text{font:13px sans-serif;fill:#333}.title{font-weight:bold;font-size:15px}.grid{stroke:#ddd}' +
    '.line{fill:none;stroke-width:2}.limit{stroke:#888;stroke-dasharray:6 4}' +
    colours(light) +
    `@media (prefers-color-scheme:dark){text{fill:#ccc}.grid{stroke:#444}${colours(dark)}}`
  );
}

const [width, height, left, right, top, bottom] = [860, 420, 76, 250, 40, 48];
const labelHeight = 17;
/** Told apart by people who see few colours, on white and on black. */
const light = ['#0072b2', '#d55e00', '#009e73', '#aa4499', '#b07d00', '#666666'];
const dark = ['#56b4e9', '#f0894a', '#3fc79a', '#d98cc4', '#e6c229', '#aaaaaa'];
