/** Whether an Accept header names text, and no later than JSON. */
export function prefersText(accept: string | undefined): boolean {
  const text = Math.max(weightOf(accept, 'text/plain'), weightOf(accept, 'text/*'));
  return text > 0 && text >= weightOf(accept, 'application/json');
}

/** 0 where it is not named. */
function weightOf(accept = '', type: string): number {
  for (const range of accept.split(',')) {
    const [name, ...parameters] = range.split(';').map((part) => part.trim().toLowerCase());
    if (name !== type) continue;
    const weight = parameters.find((parameter) => parameter.startsWith('q='));
    return weight === undefined ? 1 : Number(weight.slice(2)) || 0;
  }
  return 0;
}
