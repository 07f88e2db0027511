import { printable } from './printable.ts';

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => string;
  /** Colours a finished cell; the width is that of the plain text. */
  readonly paint?: (cell: string, row: Row) => string;
}

/** Lines of columns aligned by spaces, the last column ragged. Cells are made printable here, once for all tables. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
  const cells = rows.map((row) => columns.map((column) => printable(column.cell(row)) || '-'));
  const widths = columns.map((column, index) =>
    Math.max(column.title.length, ...cells.map((line) => [...(line[index] ?? '')].length)),
  );
  const padded = (cell: string, index: number) =>
    index === columns.length - 1 ? cell : cell + ' '.repeat((widths[index] ?? 0) - [...cell].length + 2);
  const header = columns.map((column, index) => padded(column.title, index)).join('');
  const body = rows.map((row, line) =>
    columns
      .map((column, index) => {
        const cell = padded(cells[line]?.[index] ?? '', index);
        return column.paint ? column.paint(cell, row) : cell;
      })
      .join(''),
  );
  return [header, ...body].map((line) => `${line.trimEnd()}\n`).join('');
}
