/** What an API key may do. A closed set; an edge asks for one scope per call. */
export const scopes = ['claim', 'exec', 'files', 'ports', 'admin'] as const;

export type Scope = (typeof scopes)[number];
