import { AggregatorRegistry, type Registry } from 'prom-client';

/** What one process has counted, as it can be sent to another. */
export type Figures = Awaited<ReturnType<Registry['getMetricsAsJSON']>>;

/**
 * The figures of several processes as those of one, in the Prometheus text format: what they counted is summed, and a
 * level that all of them read from the store (`aggregator: 'first'`) is said once.
 */
export function exposeTogether(reports: readonly Figures[]): Promise<string> {
  return AggregatorRegistry.aggregate([...reports]).metrics();
}

/** What stays of processes that have ended: a counter that fell with them would look as if it had begun anew. */
export async function countedBy(reports: readonly Figures[]): Promise<Figures> {
  const counted = reports.map((report) =>
    report.filter(
      ({ type, aggregator }) =>
        (isType(type, 'counter') || isType(type, 'histogram')) && aggregator === 'sum',
    ),
  );
  return AggregatorRegistry.aggregate(counted).getMetricsAsJSON();
}

/** The library's types say numbers, and its figures texts. */
function isType(type: unknown, name: string): boolean {
  return type === name;
}
