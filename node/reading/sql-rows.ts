/**
 * Rows of a table out of its SQL dump as mysqldump and MariaDB's mariadb-dump write it: one CREATE TABLE, then INSERT statements
 * with many rows each. Read as it comes; memory holds one row.
 */
import { DumpFormatError } from './multistream.ts'

/** Bytes as text, one character a byte (latin1): columns are binary. `sqlText` makes Unicode of it. NULL is null. */
export type SqlRow = readonly (string | null)[]

const CREATE_LENGTH_MAX = 1024 * 1024
const VALUE_LENGTH_MAX = 16 * 1024 * 1024
const COLUMNS_MAX = 1_000

export function sqlText(value: string): string {
  return Buffer.from(value, 'latin1').toString('utf8')
}

/**
 * Calls `use` with the wanted columns of every row, in the order asked for; a column that the table does not have is undefined in
 * `columns` and null in rows. Rejects with what the chunks reject with, or DumpFormatError.
 */
export async function readSqlRows(
  chunks: AsyncIterable<Uint8Array>,
  table: string,
  wanted: readonly string[],
  use: (row: SqlRow) => void,
): Promise<{ columns: readonly string[]; rows: number }> {
  const reader = new RowReader(table, wanted, use)
  for await (const chunk of chunks)
    reader.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString('latin1'))
  return reader.end()
}

type State = 'between' | 'values' | 'row' | 'string'

class RowReader {
  readonly #table: string
  readonly #wanted: readonly string[]
  readonly #use: (row: SqlRow) => void
  #columns: string[] | null = null
  /** Index in a row -> index in what is wanted, -1 for the others. */
  #places: number[] = []
  #text = ''
  #at = 0
  #state: State = 'between'
  #row: (string | null)[] = []
  #column = 0
  #value = ''
  #quoted = false
  #rows = 0

  constructor(table: string, wanted: readonly string[], use: (row: SqlRow) => void) {
    this.#table = table
    this.#wanted = wanted
    this.#use = use
  }

  push(text: string): void {
    this.#text = this.#text.slice(this.#at) + text
    this.#at = 0
    for (let went = true; went; ) {
      if (this.#state === 'between') went = this.#between()
      else if (this.#state === 'values') went = this.#values()
      else if (this.#state === 'row') went = this.#plain()
      else went = this.#string()
    }
  }

  end(): { columns: readonly string[]; rows: number } {
    if (this.#state !== 'between') throw this.#bad('it ends in the middle of a row')
    if (this.#columns === null) throw this.#bad(`it does not create the table ${this.#table}`)
    return { columns: this.#columns, rows: this.#rows }
  }

  /** Statements, a line each, but CREATE TABLE. False when more text is needed. */
  #between(): boolean {
    const lineEnd = this.#text.indexOf('\n', this.#at)
    const insert = `INSERT INTO \`${this.#table}\` VALUES`
    if (this.#text.startsWith(insert, this.#at)) {
      if (this.#columns === null) throw this.#bad('rows come before the table is created')
      this.#at += insert.length
      this.#state = 'values'
      return true
    }
    if (this.#text.startsWith(`CREATE TABLE \`${this.#table}\``, this.#at)) {
      const end = this.#text.indexOf('\n)', this.#at)
      if (end < 0 || this.#text.indexOf('\n', end + 1) < 0) {
        if (this.#text.length - this.#at > CREATE_LENGTH_MAX) throw this.#bad('its CREATE TABLE does not end')
        return false
      }
      this.#readColumns(this.#text.slice(this.#at, end))
      this.#at = this.#text.indexOf('\n', end + 1) + 1
      return true
    }
    if (lineEnd < 0) {
      // A long line that is nothing of ours is dropped but for what a statement's start could be cut from.
      if (this.#text.length - this.#at > CREATE_LENGTH_MAX) throw this.#bad('a line does not end')
      return false
    }
    this.#at = lineEnd + 1
    return true
  }

  #readColumns(create: string): void {
    const columns = [...create.matchAll(/^ {2}`([^`]+)` /gm)].map(([, name = '']) => name)
    if (columns.length === 0 || columns.length > COLUMNS_MAX)
      throw this.#bad('its CREATE TABLE names no columns')
    this.#columns = columns
    this.#places = columns.map((name) => this.#wanted.indexOf(name))
  }

  /** Between rows: `(`, `,`, `;` and white space. */
  #values(): boolean {
    for (; this.#at < this.#text.length; this.#at++) {
      const character = this.#text[this.#at]
      if (character === '(') {
        this.#at++
        this.#row = Array.from({ length: this.#wanted.length }, () => null)
        this.#column = 0
        this.#begin()
        return true
      }
      if (character === ';') {
        this.#at++
        this.#state = 'between'
        return true
      }
      if (character !== ',' && character !== '\n' && character !== '\r' && character !== ' ')
        throw this.#bad(`${JSON.stringify(character)} stands between rows`)
    }
    return false
  }

  #begin(): void {
    this.#value = ''
    this.#quoted = false
    this.#state = 'row'
  }

  /** In a row, outside of quotes. */
  #plain(): boolean {
    let from = this.#at
    while (this.#at < this.#text.length) {
      const code = this.#text.charCodeAt(this.#at)
      if (code === QUOTE) {
        // `_binary 'x'` names a character set first.
        this.#at++
        this.#value = ''
        this.#quoted = true
        this.#state = 'string'
        return true
      }
      if (code === COMMA || code === CLOSE) {
        if (!this.#quoted) this.#value += this.#text.slice(from, this.#at)
        this.#at++
        this.#put()
        if (code === CLOSE) return this.#endRow()
        this.#begin()
        from = this.#at
      } else this.#at++
    }
    // The value goes on in the next chunk.
    if (!this.#quoted) this.#value += this.#text.slice(from)
    if (this.#value.length > VALUE_LENGTH_MAX) throw this.#bad('a value does not end')
    return false
  }

  #endRow(): true {
    if (this.#column !== this.#columns?.length) throw this.#bad('a row has another number of columns')
    this.#rows++
    this.#state = 'values'
    this.#use(this.#row)
    return true
  }

  #string(): boolean {
    for (let from = this.#at; ; ) {
      const quote = this.#text.indexOf("'", from)
      const slash = this.#text.indexOf('\\', from)
      const stop = quote < 0 ? slash : slash < 0 ? quote : Math.min(quote, slash)
      // An escape or a doubled quote needs the character behind it.
      if (stop < 0 || stop + 1 >= this.#text.length) {
        const end = stop < 0 ? this.#text.length : stop
        this.#value += this.#text.slice(from, end)
        this.#at = end
        if (this.#value.length > VALUE_LENGTH_MAX) throw this.#bad('a text does not end')
        return false
      }
      this.#value += this.#text.slice(from, stop)
      const next = this.#text[stop + 1] ?? ''
      if (stop === slash) {
        this.#value += ESCAPES[next] ?? next
        from = stop + 2
      } else if (next === "'") {
        this.#value += "'"
        from = stop + 2
      } else {
        this.#at = stop + 1
        this.#state = 'row'
        return true
      }
    }
  }

  #put(): void {
    const place = this.#places[this.#column++]
    if (place === undefined || place < 0) return
    const plain = this.#value.trim()
    this.#row[place] = this.#quoted ? this.#value : plain === 'NULL' ? null : plain
  }

  #bad(why: string): DumpFormatError {
    return new DumpFormatError(`the dump of the table ${this.#table} cannot be read: ${why}`)
  }
}

const QUOTE = 39
const COMMA = 44
const CLOSE = 41

/** https://dev.mysql.com/doc/refman/8.4/en/string-literals.html, table 11.1 */
const ESCAPES: Readonly<Record<string, string>> = { '0': '\0', b: '\b', n: '\n', r: '\r', t: '\t', Z: '\x1a' }
