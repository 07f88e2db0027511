import type { TemplateSpec } from './pool-spec.ts';

/** The environment every command of a template starts from; the customisation of a claim goes on top. */
export function templateEnvironment(template: Pick<TemplateSpec, 'user' | 'env'>): Record<string, string> {
  const home = template.user === 'root' ? '/root' : `/home/${template.user}`;
  return {
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: home,
    USER: template.user,
    LOGNAME: template.user,
    SHELL: '/bin/sh',
    LANG: 'C.UTF-8',
    TERM: 'xterm-256color',
    ...template.env,
  };
}
