/** systemd (Debian package `systemd`) accepts the unit in deploy/. It reads the unit; it does not start it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const unit = join(import.meta.dirname, '..', '..', 'deploy', 'wikiseed.service')
const installed = isInstalled()

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'wikiseed-systemd-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function isInstalled(): boolean {
  try {
    execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** Exit code and everything said: an unknown directive is only a line of text, with exit code 0. */
function verify(path: string): { code: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', path], {
    encoding: 'utf8',
    timeout: 60_000,
  })
  return { code: status, said: `${stdout}${stderr}` }
}

/** The unit with one line replaced, under its own name. */
function spoiled(line: RegExp, by: string): string {
  const text = readFileSync(unit, 'utf8')
  expect(text).toMatch(line)
  const path = join(dir, 'wikiseed.service')
  writeFileSync(path, text.replace(line, by))
  return path
}

it.runIf(process.env.CI === 'true')('systemd-analyze is installed where CI runs', () => {
  expect(installed).toBe(true)
})

describe.skipIf(!installed)(
  `systemd-analyze verify${installed ? '' : ' (skipped: systemd is not installed)'}`,
  () => {
    it('has nothing to say about the unit', () => {
      expect(verify(unit)).toEqual({ code: 0, said: '' })
    })

    it('would name a directive that does not exist', () => {
      expect(verify(spoiled(/^ProtectSystem=/m, 'ProtectSistem=')).said).toContain('ProtectSistem')
    })

    it('would name a program that is not there', () => {
      const { code, said } = verify(spoiled(/^ExecStart=.*$/m, 'ExecStart=/usr/bin/no-such-program'))
      expect(code).not.toBe(0)
      expect(said).toContain('no-such-program')
    })
  },
)
