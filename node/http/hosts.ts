/**
 * Which Host headers are answered. A page of a stranger can point its own name at 127.0.0.1 and then read what is served
 * here (DNS rebinding); it cannot choose the Host header that the browser sends, so that header is held to a list.
 */

/** `allowed` are names of the operator's choice: `dumps.example.org` stands for any port, `dumps.example.org:81` for that one. */
export function isAllowedHost(
  header: string | undefined,
  own: { readonly host: string; readonly port: number },
  allowed: readonly string[],
): boolean {
  const wanted = parseHost(header ?? '')
  if (wanted === null) return false
  const names = ['127.0.0.1', 'localhost', '[::1]', ...(isWildcard(own.host) ? [] : [bracketed(own.host)])]
  if (names.includes(wanted.name) && wanted.port === own.port) return true
  return allowed.some((entry) => {
    const parsed = parseHost(entry)
    return parsed?.name === wanted.name && (!/:\d+$/.test(entry) || parsed.port === wanted.port)
  })
}

/** Port 80 when none is named. */
function parseHost(text: string): { name: string; port: number } | null {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(\d{1,5}))?$/i.exec(text)
  if (match === null) return null
  const [, name = '', port = '80'] = match
  return { name: name.toLowerCase().replace(/\.$/, ''), port: Number(port) }
}

function isWildcard(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || host === ''
}

function bracketed(host: string): string {
  return host.includes(':') ? `[${host.toLowerCase()}]` : host.toLowerCase()
}
