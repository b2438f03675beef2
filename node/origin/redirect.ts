/** Decorator: follows a few redirects, never to another scheme, and to another host only when it is on the list. */
import { OriginError } from '../ports.ts'
import type { HttpClient } from './http-client.ts'

const REDIRECTS = new Set([301, 302, 303, 307, 308])

export interface RedirectPolicy {
  readonly redirectsMax: number
  /** Hosts (with port, when it is not the scheme's own) to which a redirect may lead away; `*.x.org` is every host below x.org. */
  readonly hosts: readonly string[]
}

export function followRedirects(client: HttpClient, policy: RedirectPolicy): HttpClient {
  return {
    async get(url, request, use) {
      let at = url
      for (let redirects = 0; ; redirects++) {
        const from = at
        const outcome = await client.get(from, request, async (response) =>
          REDIRECTS.has(response.status)
            ? { location: response.header('location') }
            : { value: await use(response) },
        )
        if ('value' in outcome) return outcome.value
        if (redirects >= policy.redirectsMax) {
          throw new OriginError('refused', `${url}: more than ${policy.redirectsMax} redirects`)
        }
        at = nextUrl(from, outcome.location, policy.hosts)
      }
    },
    close: () => client.close(),
  }
}

function isAllowed(host: string, hosts: readonly string[]): boolean {
  return hosts.some((one) => (one.startsWith('*.') ? host.endsWith(one.slice(1)) : one === host))
}

function nextUrl(from: URL, location: string | null, hosts: readonly string[]): URL {
  if (location === null || !URL.canParse(location, from)) {
    throw new OriginError('refused', `${from}: a redirect without a readable address`)
  }
  const to = new URL(location, from)
  if (to.protocol !== from.protocol || (to.host !== from.host && !isAllowed(to.host, hosts))) {
    throw new OriginError('refused', `${from}: redirects to ${to.protocol}//${to.host}, which is not allowed`)
  }
  to.username = ''
  to.password = ''
  return to
}
