import { describe, expect, it } from 'vitest'
import { isAllowedHost } from '../../node/http/hosts.ts'

const OWN = { host: '127.0.0.1', port: 8080 }

describe('a Host header', () => {
  it.each(['127.0.0.1:8080', 'localhost:8080', 'LocalHost:8080', 'localhost.:8080', '[::1]:8080'])(
    '%s is answered',
    (header) => {
      expect(isAllowedHost(header, OWN, [])).toBe(true)
    },
  )

  it.each([
    'evil.example',
    'evil.example:8080',
    '127.0.0.1',
    '127.0.0.1:8081',
    '127.0.0.1.evil.example:8080',
    'localhost:8080.evil.example',
    'localhost:8080@evil.example',
    '192.168.1.5:8080',
    '[::2]:8080',
    'localhost:8080/x',
    ' localhost:8080',
    '',
    undefined,
  ])('%s is refused', (header) => {
    expect(isAllowedHost(header, OWN, [])).toBe(false)
  })

  it('needs no port when the server has the usual one', () => {
    expect(isAllowedHost('localhost', { host: '127.0.0.1', port: 80 }, [])).toBe(true)
  })

  it('may be a name that the operator chose, with its port or with any', () => {
    const allowed = ['dumps.example.org', 'other.example.org:9000']
    expect(isAllowedHost('dumps.example.org', OWN, allowed)).toBe(true)
    expect(isAllowedHost('dumps.example.org:443', OWN, allowed)).toBe(true)
    expect(isAllowedHost('other.example.org:9000', OWN, allowed)).toBe(true)
    expect(isAllowedHost('other.example.org', OWN, allowed)).toBe(false)
    expect(isAllowedHost('sub.dumps.example.org', OWN, allowed)).toBe(false)
  })

  it('may be the address that it listens on, but all addresses are not one', () => {
    expect(isAllowedHost('192.168.1.5:8080', { host: '192.168.1.5', port: 8080 }, [])).toBe(true)
    expect(isAllowedHost('[fd00::5]:8080', { host: 'fd00::5', port: 8080 }, [])).toBe(true)
    expect(isAllowedHost('0.0.0.0:8080', { host: '0.0.0.0', port: 8080 }, [])).toBe(false)
  })
})
