/** One thing wrong with the configuration: where it was said, which field it is, and what to do about it. */
export interface ConfigIssue {
  /** An environment variable, `file:line:column`, a file or a folder. */
  readonly source: string;
  /** A path such as `size.minReady`; empty when the source as a whole is meant. */
  readonly field: string;
  readonly message: string;
}

/** Everything that is wrong, at once, so that nobody fixes one field per start. Never holds a secret's value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly issues: readonly ConfigIssue[];

  constructor(issues: readonly ConfigIssue[]) {
    super(
      ['the configuration cannot be used:', ...issues.map((issue) => `  ${describeIssue(issue)}`)].join('\n'),
    );
    this.issues = issues;
  }
}

export function describeIssue(issue: ConfigIssue): string {
  return issue.field === '' || issue.field === issue.source
    ? `${issue.source}: ${issue.message}`
    : `${issue.source}: ${issue.field}: ${issue.message}`;
}
